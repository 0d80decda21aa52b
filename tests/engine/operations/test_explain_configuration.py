"""`config check` explains every setting with its value and its true origin."""

from pathlib import Path

from moi_backup.model.table import Column, TableName
from moi_backup.operations.explain_configuration import DISCOVERED, ExplainedSetting, explain, explanation_lines
from moi_backup.operations.protect import protect
from moi_backup.postgres.catalog import CatalogTable
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


def catalog_table(name: str, *columns: tuple[str, str], key: tuple[str, ...] | None) -> CatalogTable:
    """A table as the catalog describes it: columns as name and Postgres type."""
    return CatalogTable(
        name=TableName("public", name),
        oid=1,
        partitioned=False,
        only=False,
        columns=tuple(Column(name=name, pg_type=kind, encoding="native", arrow="") for name, kind in columns),
        unique_keys=(),
        order_by=(),
        key=key,
        row_security=False,
        triggers=(),
        leaves=(),
    )


ORDERS = catalog_table("orders", ("id", "integer"), ("day", "timestamp with time zone"), ("mail", "text"), key=("id",))
META = catalog_table("meta_import_data", ("day", "date"), ("id", "integer"), ("cost", "numeric"), key=("id",))


def explained(cwd: Path, toml: str, catalog: list[CatalogTable] | None = None, **environ: str):
    """Name to value and origin."""
    read = settings(cwd, toml, **environ)
    zone = read.configuration.source.timezone
    tables = catalog and [protect(table, read.configuration.table(table.name), timezone=zone) for table in catalog]
    return {row.name: (row.value, row.origin) for row in explain(read, tables=tables)}


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
    toml = TOML.replace('required = ["day"]', 'required = ["cost"]\nkey = ["day"]\nscopes = {}')
    rows = explained(tmp_path, toml, [ORDERS, META])
    assert rows['tables."public.orders".day'] == ("day (timestamptz in UTC)", DISCOVERED)
    assert rows['tables."public.orders".key'] == ("id", DISCOVERED)
    assert rows['tables."public.orders".required'] == ("none", "default")
    assert rows['tables."public.orders".scopes'] == ("pii: mail", "moi.toml")
    assert rows['tables."public.meta_import_data".day'] == ("day (date)", "default")
    assert rows['tables."public.meta_import_data".key'] == ("day", "moi.toml")
    assert rows['tables."public.meta_import_data".required'] == ("cost", "moi.toml")
    assert rows['tables."public.meta_import_data".scopes'] == ("none", "moi.toml")
    assert rows['tables."public.meta_import_data".class'] == ("critical", "default")


def test_tables_found_by_the_catalog_alone_are_explained_too(tmp_path: Path):
    """Without [tables] every row of a table is discovered or a default."""
    rows = explained(tmp_path, "", [ORDERS])
    assert rows['tables."public.orders".key'] == ("id", DISCOVERED)
    assert rows['tables."public.orders".class'] == ("historical", "default")


def test_given_and_empty_is_configured_not_discovered(tmp_path: Path):
    """`day = ""` and `key = []` are decisions of the file."""
    toml = '[tables."public.orders"]\nday = ""\nkey = []\nrequired = []'
    for catalog in (None, [ORDERS]):
        rows = explained(tmp_path, toml, catalog)
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
