import ast
from collections.abc import Iterator
from pathlib import Path

ENGINE = Path(__file__).parents[2] / "moi_backup"
STARTS = {"run", "Popen", "call", "check_call", "check_output"}


def test_every_program_the_engine_starts_is_given_its_environment() -> None:
    """Nothing inherits the keys by oversight: each start of a program says what it gets."""
    found = list(starts())
    assert len(found) >= 8
    assert [place for place, call in found if not any(keyword.arg == "env" for keyword in call.keywords)] == []


def starts() -> Iterator[tuple[str, ast.Call]]:
    for module in sorted(ENGINE.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Call) and starts_program(node.func):
                yield f"{module.relative_to(ENGINE)}:{node.lineno}", node


def starts_program(called: ast.expr) -> bool:
    return (
        isinstance(called, ast.Attribute)
        and called.attr in STARTS
        and isinstance(called.value, ast.Name)
        and called.value.id == "subprocess"
    )
