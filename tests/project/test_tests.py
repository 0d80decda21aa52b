import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_test_states_its_rule_in_one_sentence() -> None:
    """A test's name is a rule, and its docstring says it in one sentence on one line."""
    wrong = [place for place, text in stated() if not text or "\n" in text.strip() or not text.strip().endswith(".")]
    assert wrong == []


def stated() -> Iterator[tuple[str, str | None]]:
    for module in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{module.relative_to(TESTS)}::{node.name}", ast.get_docstring(node)
