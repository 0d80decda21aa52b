"""`moi.toml`: what it means, what it refuses and how, and that docs/configuration.md tells the truth about it."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moi_backup.errors import ConfigurationError
from moi_backup.model.configuration import (
    PLATFORM_TABLES,
    Configuration,
    TableSettings,
    configuration_digest,
    default_configuration,
)
from moi_backup.model.configuration_document import SECTIONS, known_keys, parse_configuration, setting_path
from moi_backup.model.table import TableName

DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"
TABLE_SECTION = 'tables."schema.name"'
META = TableName("public", "meta_import_data")


def parse(text: str) -> Configuration:
    """Read a file of this text."""
    return parse_configuration(text, file="moi.toml")


def refusal(text: str) -> str:
    """What the user reads when a file of this text is refused."""
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    return str(caught.value)


class TestTables:
    def test_without_a_file_the_three_platform_tables_are_protected(self):
        """The default names exactly the three, all critical, each with day, key, required columns and scopes."""
        tables = default_configuration().tables
        assert tables is not None
        assert [str(name) for name in tables] == [
            "public.meta_import_data",
            "public.google_import_data",
            "public.shopify_import_data",
        ]
        assert {table.data_class for table in tables.values()} == {"critical"}
        assert tables[META].required == ("day", "campaign_name", "ad_set_name", "ad_name")
        assert tables[TableName("public", "shopify_import_data")].required == (
            "day",
            "utm_campaign",
            "online_store_visitors",
        )

    def test_a_file_without_tables_means_all_ordinary_tables(self):
        """None is distinct from any list of tables, also for an empty file."""
        assert parse("").tables is None
        assert parse('[source]\nschema = "shop"').tables is None

    def test_a_file_with_tables_means_exactly_those(self):
        """No platform table is added to the named ones."""
        assert parse('[tables."shop.orders"]').tables == {TableName("shop", "orders"): TableSettings()}

    def test_an_empty_tables_section_is_refused(self):
        """Protecting nothing is never what was meant."""
        assert "no table would be protected" in refusal("[tables]")

    def test_what_is_not_given_stays_unknown(self):
        """Not given is None, for the catalog to decide; given and empty means that there is none."""
        tables = parse('[tables."shop.a"]\n[tables."shop.b"]\nday = ""\nkey = []\nrequired = []').tables
        assert tables is not None
        a, b = tables.values()
        assert (a.day, a.key, a.required) == (None, None, None)
        assert (b.day, b.key, b.required) == ("", (), ())

    def test_a_platform_table_keeps_the_defaults_that_its_entry_does_not_give(self):
        """An entry overrides key by key."""
        configuration = parse('[tables."public.meta_import_data"]\nkey = ["id"]')
        assert configuration.table(META) == msgspec.structs.replace(PLATFORM_TABLES["meta_import_data"], key=("id",))

    def test_a_platform_table_has_its_defaults_among_all_ordinary_tables(self):
        """Without [tables] a platform table found in the schema is critical, another table historical."""
        configuration = parse('[source]\nschema = "shop"')
        assert configuration.table(TableName("shop", "meta_import_data")).data_class == "critical"
        assert configuration.table(TableName("shop", "orders")) == TableSettings()
        assert configuration.table(META) == TableSettings()

    def test_a_table_without_a_schema_is_in_the_sources_schema(self):
        """`[tables.orders]` is short for the configured schema's table."""
        tables = parse('[source]\nschema = "shop"\n[tables.orders]').tables
        assert tables == {TableName("shop", "orders"): TableSettings()}

    def test_two_entries_for_one_table_are_refused(self):
        """Short and full name are the same table."""
        assert "two entries for public.orders" in refusal('[tables.orders]\n[tables."public.orders"]')

    def test_a_name_that_is_no_table_is_refused_by_its_path(self):
        """Three parts are no table."""
        assert 'tables."a.b.c": not a table name' in refusal('[tables."a.b.c"]')

    def test_any_column_name_will_do(self):
        """Spaces, brackets and quotes are ordinary characters of a name."""
        tables = parse("[tables.t]\nday = 'Day \"of\" (report)'\nscopes = {financial = ['Amount spent (INR)']}").tables
        assert tables is not None
        (table,) = tables.values()
        assert table.day == 'Day "of" (report)'
        assert table.scope_of("Amount spent (INR)") == "financial"
        assert table.scope_of("anything else") == "default"


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('[source]\ntimezon = "UTC"', "unknown key source.timezon. Did you mean source.timezone?"),
            ('timezone = "UTC"', "unknown key timezone. Did you mean source.timezone?"),
            ('[sorce]\nurl = "env:X"', "unknown key sorce. Did you mean source?"),
            ('[repository]\npath = "/x"', "unknown key repository.path."),
            ('[restore]\ntimezone = "UTC"', "unknown key restore.timezone. Did you mean source.timezone?"),
            (
                '[tables."public.t"]\nkeys = ["a"]',
                'unknown key tables."public.t".keys. Did you mean tables."public.t".key?',
            ),
            ('[tables.t]\ntimezone = "UTC"', "unknown key tables.t.timezone. Did you mean source.timezone?"),
            ("[tables.public.orders]\nday = 'x'", 'did you mean [tables."public.orders"]?'),
            ("[retention]\ndaily = 30", "[retention] is not in this release"),
            ("[encryption]", "[encryption] is not in this release"),
            ("source = 3", "source must be a section, [source]"),
            ("tables = ['a']", "tables must be a section, [tables]"),
            ("[tables]\nt = 'x'", "tables.t must be a section, [tables.t]"),
        ],
    )
    def test_an_unknown_key_is_refused_by_its_path_with_the_nearest_known_one(self, text: str, message: str):
        """The message names the key as TOML writes it and what was probably meant."""
        assert message in refusal(text)

    def test_all_unknown_keys_are_named_at_once(self):
        """Nobody repairs a file one message at a time."""
        message = refusal('[source]\ntimezon = "UTC"\n[restore]\nshema = "x"')
        assert "source.timezone?" in message
        assert "restore.schema?" in message

    @given(st.sampled_from(sorted(SECTIONS)), st.from_regex(r"[a-z_]{1,12}", fullmatch=True))
    def test_no_key_outside_the_documentation_is_ever_accepted(self, section: str, key: str):
        """A made-up key is an error in every section."""
        if key not in known_keys(SECTIONS[section]):
            assert f"unknown key {section}.{key}." in refusal(f'[{section}]\n{key} = "x"')

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('[tables.t]\nkey = "day"', "tables.t.key: Expected `array`, got `str`"),
            ("[tables.t]\nkey = ['a', 1]", "tables.t.key[1]: Expected `str`, got `int`"),
            ("[tables.t]\nkey = ['a', 'a']", "tables.t: key names column 'a' twice"),
            ("[tables.t]\nrequired = ['']", "tables.t: required holds an empty name"),
            ("[tables.t]\nclass = 'vital'", "tables.t.class: Invalid enum value 'vital'"),
            ("[tables.t]\nscopes = {default = ['a']}", "'default' is no name for a scope"),
            ("[tables.t]\nscopes = {'a/b' = ['a']}", "'a/b' is no name for a scope"),
            ("[tables.t]\nscopes = {a = ['x'], b = ['x']}", "scopes names column 'x' twice"),
            ("[source]\ntimezone = 'Asia/Kolkatta'", "timezone 'Asia/Kolkatta' is not a zone"),
            ("[source]\ntimezone = 'Asia'", "timezone 'Asia' is not a zone"),
            ("[source]\ntimezone = '../../etc/passwd'", "is not a zone"),
            ("[source]\npartition_start = 'soon'", "source.partition_start: Invalid RFC3339 encoded date"),
            ("[source]\npartition_start = 2024-01-01T00:00:00", "source.partition_start: Expected `date`"),
            ("[source]\nlock_timeout = 0", "source.lock_timeout: Expected `float` > 0"),
            ("[source]\nlock_timeout = nan", "source.lock_timeout: Expected `float` > 0"),
            ("[source]\nmax_duration = 25", "source.max_duration: Expected `float` <= 24"),
            ("[source]\nschema = ''", "source: schema is empty"),
            ("[repository]\naddress = ' '", "repository: address is empty"),
            ("[restore]\nschema = ''", "restore: schema is empty"),
            ("[source", "moi.toml is not valid TOML"),
        ],
    )
    def test_a_value_without_sense_is_refused_by_its_path(self, text: str, message: str):
        """Type, range and meaning are checked when the file is read."""
        assert message in refusal(text)

    @pytest.mark.parametrize("section", ["source", "restore"])
    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://moi:hunter2@db.example/moi",
            "postgres://:hunter2@/moi",
            "postgresql://db.example/moi?password=hunter2",
            "postgresql://db.example/moi?sslmode=require&p%61ssword=hunter2",
            "postgresql://db.example/moi?sslpassword=hunter2",
            "postgresql://moi:hunter2?#@db.example/moi",
            "postgresql://moi:hunter2/x@db.example/moi",
            "postgresql://moi:hunter2@x@db.example/moi",
            "postgresql://moi:hunter2",
        ],
    )
    def test_a_password_in_the_file_is_refused_and_not_repeated(self, section: str, url: str):
        """Wherever libpq would find a password, the file is refused by name and the message does not show it."""
        message = refusal(f'[{section}]\nurl = "{url}"')
        assert f"moi.toml: {section}: " in message
        assert "hunter2" not in message

    @pytest.mark.parametrize("url", ["db.example", "mysql://h/d", "host=h password=hunter2", "env:", "env:A B"])
    def test_a_database_that_is_no_url_and_no_variable_is_refused(self, url: str):
        """Only postgresql:// and env:NAME are understood."""
        message = refusal(f'[source]\nurl = "{url}"')
        assert "env:" in message
        assert "hunter2" not in message

    @pytest.mark.parametrize(
        "url",
        [
            "env:DATABASE_URL",
            "postgresql://moi@db.example:5432/moi",
            "postgres://[::1]:5432/d",
            "postgresql:///moi",
            "postgresql://a:1,b:2/moi?target_session_attrs=read-write",
            "postgresql://%2Fvar%2Frun/moi",
        ],
    )
    def test_a_url_without_a_password_is_kept_as_it_stands(self, url: str):
        """Every form that libpq documents is accepted."""
        assert parse(f'[source]\nurl = "{url}"').source.url == url


class TestOrigin:
    def test_a_setting_knows_whether_it_was_given(self):
        """Only keys that stand in the file come from it, also when they equal the default."""
        configuration = parse('[source]\ntimezone = "Asia/Kolkata"\n[tables.meta_import_data]\nday = "day"')
        assert configuration.origin("source.timezone") == "moi.toml"
        assert configuration.origin("source.schema") == "default"
        assert configuration.origin('tables."public.meta_import_data".day') == "moi.toml"
        assert configuration.origin('tables."public.meta_import_data".key') == "default"
        assert default_configuration().origin("source.timezone") == "default"


class TestDigest:
    BASE = '[tables.t]\nkey = ["a", "b"]\nscopes = {x = ["a"], y = ["b"]}\n'

    @pytest.mark.parametrize(
        "text",
        [
            '[tables.t]\nkey = ["b", "a"]\nscopes = {x = ["a"], y = ["b"]}\n',
            '[tables.t]\nkey = ["a", "b"]\nscopes = {x = ["b"], y = ["a"]}\n',
            BASE + "required = []",
            BASE + 'class = "reports"',
            BASE + 'day = ""',
            BASE + "[tables.u]",
            BASE + '[source]\ntimezone = "UTC"',
            BASE + '[source]\nschema = "shop"',
            BASE + "[source]\npartition_start = 2024-01-02",
            "",
        ],
    )
    def test_whatever_decides_the_content_changes_the_digest(self, text: str):
        """Tables, order of the key, scopes, time zone, schema and partition start count."""
        assert configuration_digest(parse(text)) != configuration_digest(parse(self.BASE))

    def test_the_order_of_a_file_and_its_places_leave_the_digest(self):
        """Sections in another order, connections, places and limits change nothing in a backup."""
        text = (
            '[restore]\nurl = "env:A"\nschema = "s"\n[repository]\naddress = "/x"\n'
            '[tables.t]\nscopes = {y = ["b"], x = ["a"]}\nkey = ["a", "b"]\n'
            '[source]\nurl = "postgresql://h/d"\nlock_timeout = 1\nmax_duration = 1\ntimezone = "Asia/Kolkata"'
        )
        assert configuration_digest(parse(text)) == configuration_digest(parse(self.BASE))


class DocumentedKey(NamedTuple):
    """A row of a key table in docs/configuration.md."""

    section: str
    key: str
    default: str
    example: str


def documented_keys() -> list[DocumentedKey]:
    """The rows of all key tables, in order; a row counts if its example sets its key."""
    section = ""
    rows: list[DocumentedKey] = []
    for line in DOCUMENT.read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"## `\[(.+)\]`", line):
            section = heading[1]
        elif row := re.fullmatch(r"\| `([a-z_]+)` \| [^|]+ \| ([^|]+) \| `(\1 = [^|]+)` \| .+ \|", line):
            rows.append(DocumentedKey(section, row[1], row[2].strip().strip("`"), row[3]))
    return rows


def fields() -> Iterator[tuple[str, str, object]]:
    """Section, key and default of every field that the file is read into."""
    for section, settings in [(TABLE_SECTION, TableSettings), *SECTIONS.items()]:
        for field in msgspec.structs.fields(settings):
            default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
            yield section, field.encode_name, default


def as_documented(section: str, key: str, default: object) -> str:
    """A default as the key tables write it; required columns and `newer_by` are never discovered."""
    if default is None:
        return (
            "not set" if section != TABLE_SECTION or key == "newer_by" else "[]" if key == "required" else "discovered"
        )
    if isinstance(default, float):
        return f"{default:g}"
    return default.isoformat() if isinstance(default, date) else f'"{default}"' if default != {} else "{}"


class TestDocumentation:
    def test_every_key_is_documented_with_its_default_and_no_other_is(self):
        """The key tables equal the fields that the file is read into."""
        documented = [(row.section, row.key, row.default) for row in documented_keys()]
        assert documented == [
            (section, key, as_documented(section, key, default)) for section, key, default in fields()
        ]

    @pytest.mark.parametrize("row", documented_keys(), ids=lambda row: f"{row.section}.{row.key}")
    def test_every_example_is_valid_and_differs_from_the_default(self, row: DocumentedKey):
        """An example that changes nothing would prove nothing."""
        configuration = parse(f"[{row.section}]\n{row.example}")
        in_table = row.section == TABLE_SECTION
        given = configuration.table(TableName("schema", "name")) if in_table else getattr(configuration, row.section)
        default = {(at, key): value for at, key, value in fields()}[row.section, row.key]
        assert getattr(given, "data_class" if row.key == "class" else row.key) != default

    def test_the_whole_example_is_valid(self):
        """The TOML block at the end is a configuration."""
        (text,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
        assert parse(text).table(TableName("public", "Ad Spend")).day == "Reporting starts"

    def test_the_platform_tables_are_documented_as_they_are(self):
        """The table of platform defaults equals the constants, column by column."""
        text = DOCUMENT.read_text("utf-8")
        for name, table in PLATFORM_TABLES.items():
            columns = [", ".join(f"`{column}`" for column in listed or ()) for listed in (table.key, table.required)]
            scopes = "; ".join(
                f"{scope}: {', '.join(f'`{column}`' for column in listed)}" for scope, listed in table.scopes.items()
            )
            assert f"| `{name}` | `{table.day}` | {' | '.join(columns)} | `{table.data_class}` | {scopes} |" in text


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=3))
def test_a_path_never_splits_a_quoted_key(keys: list[str]):
    """A key that is not bare is quoted, so paths of different keys differ in their number of dots outside quotes."""
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "q", setting_path(*keys), flags=re.DOTALL)
    assert outside.count(".") == len(keys) - 1
