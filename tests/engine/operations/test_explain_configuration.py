"""`config check` explains every setting with its value and its true origin."""

from pathlib import Path

from moi_backup.model.table import Column, DayColumn, TableManifest, TableName
from moi_backup.operations.explain_configuration import DISCOVERED, ExplainedSetting, explain, explanation_lines
from moi_backup.settings import read_settings

TOML = """
[source]
timezone = "UTC"
[tables."public.meta_import_data"]
required = ["day"]
[tables."public.orders"]
scopes = {pii = ["mail"]}
"""


def settings(cwd: Path, toml: str | None, **environ: str):
    """Settings read from a real file."""
    if toml is not None:
        (cwd / "moi.toml").write_text(toml, "utf-8")
    return read_settings(environ, cwd=cwd, effective_uid=1000)


def resolved(name: str, *, day: DayColumn | None, key: tuple[str, ...] | None, required: tuple[str, ...], scope: str):
    """A table as the catalog confirms it."""
    column = Column(name="mail", pg_type="text", encoding="native", arrow="string", scope=scope)
    return TableManifest(
        table=TableName("public", name),
        columns=(column,),
        day=day,
        order_by=(),
        key=key,
        required=required,
        data_class="historical",
        rows=0,
        digest="",
        months=(),
    )


def explained(cwd: Path, toml: str | None, tables=None, **environ: str) -> dict[str, tuple[str, str]]:
    """Name to value and origin."""
    return {row.name: (row.value, row.origin) for row in explain(settings(cwd, toml, **environ), tables=tables)}


def test_every_setting_says_where_it_comes_from(tmp_path: Path):
    """Default, file and environment are told apart."""
    rows = explained(tmp_path, TOML, MOI_REPOSITORY="/srv/moi")
    assert rows["source.timezone"] == ("UTC", "moi.toml")
    assert rows["source.schema"] == ("public", "default")
    assert rows["repository.address"] == ("/srv/moi", "environment MOI_REPOSITORY")
    assert rows["source.url"] == ("embedded server, database moi", "default")
    assert rows['tables."public.meta_import_data".required'] == ("day", "moi.toml")
    assert rows['tables."public.meta_import_data".class'] == ("critical", "default")
    assert rows['tables."public.orders".scopes'] == ("pii: mail", "moi.toml")


def test_what_the_catalog_decides_is_said_to_be_unknown_while_it_is_not_asked(tmp_path: Path):
    """No value is invented for what was not given."""
    assert explained(tmp_path, TOML)['tables."public.orders".key'] == ("(not connected)", DISCOVERED)


def test_what_the_catalog_decided_is_told_from_what_was_configured(tmp_path: Path):
    """A resolved value that equals the configured one keeps its origin, any other was discovered."""
    day = DayColumn(column="at", kind="timestamptz", timezone="UTC")
    orders = resolved("orders", day=day, key=("id",), required=(), scope="pii")
    meta = resolved(
        "meta_import_data", day=DayColumn(column="day", kind="date"), key=None, required=("day",), scope="default"
    )
    rows = explained(tmp_path, TOML, tables=[orders, meta])
    assert rows['tables."public.orders".day'] == ("at (timestamptz in UTC)", DISCOVERED)
    assert rows['tables."public.orders".key'] == ("id", DISCOVERED)
    assert rows['tables."public.orders".required'] == ("none", DISCOVERED)
    assert rows['tables."public.orders".scopes'] == ("pii: mail", "moi.toml")
    assert rows['tables."public.meta_import_data".day'] == ("day (date)", "default")
    assert rows['tables."public.meta_import_data".required'] == ("day", "moi.toml")


def test_given_and_empty_is_configured_not_discovered(tmp_path: Path):
    """`day = ""` and `key = []` are decisions of the file."""
    toml = '[tables."public.orders"]\nday = ""\nkey = []\nrequired = []'
    orders = resolved("orders", day=None, key=None, required=(), scope="default")
    for tables in (None, [orders]):
        rows = explained(tmp_path, toml, tables)
        for key in ("day", "key", "required"):
            assert rows[f'tables."public.orders".{key}'] == ("none", "moi.toml")


def test_all_ordinary_tables_are_said_to_be_so(tmp_path: Path):
    """A file without [tables] is explained in words."""
    assert explained(tmp_path, "")["tables"] == ("all ordinary tables of schema public", "default")


def test_no_explanation_holds_a_password(tmp_path: Path):
    """A URL is shown without its secret."""
    environ = {"MOI_SOURCE_URL": "postgresql://moi:hunter2@h/d"}
    lines = "\n".join(explanation_lines(explain(settings(tmp_path, None, **environ))))
    assert "hunter2" not in lines
    assert "postgresql://moi:***@h/d" in lines


def test_the_lines_are_aligned_even_beside_a_very_long_value():
    """Names, and origins of ordinary values, stand in one column each; a long value moves only its own origin."""
    rows = [("state", "/srv/moi"), ("source.timezone", "Asia/Kolkata"), ("tables.t.required", "column, " * 40)]
    lines = explanation_lines([ExplainedSetting(name, value, "default") for name, value in rows])
    assert len({line.index(" = ") for line in lines}) == 1
    assert lines[0].index("  # default") == lines[1].index("  # default") == len("tables.t.required = Asia/Kolkata")
    assert lines[2].endswith("column,   # default")
    assert explanation_lines([]) == []
