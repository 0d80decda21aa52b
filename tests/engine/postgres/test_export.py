from hypothesis import given
from hypothesis import strategies as st

from moi_backup.model.day import label_of, number_of
from moi_backup.model.span import Span, plan_spans
from moi_backup.model.table import Column, DayColumn, TableName
from moi_backup.postgres.day_sql import day_expression, day_predicate
from moi_backup.postgres.export import ROWS_PER_READ, RowSource, plan_reads, select_rows

SPANS = st.dictionaries(
    st.one_of(st.integers(0, 200).map(label_of), st.sampled_from(["undated", "infinity", "-infinity"])),
    st.integers(1, 4 * ROWS_PER_READ // 10),
    max_size=30,
).map(plan_spans)


@given(SPANS, st.data())
def test_the_runs_of_all_reads_cover_exactly_the_wanted_days(spans: list[Span], data: st.DataObject) -> None:
    """No wanted day is missed, and no day of an unwanted span is read."""
    wanted = data.draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    reads = plan_reads(spans, wanted)
    for span, want in zip(spans, wanted, strict=True):
        for label, _ in span.days:
            hits = sum(in_run(label, run) for read in reads for run in read.runs)
            assert hits == (1 if want else 0), label
    assert [span for read in reads for span in read.spans] == [s for s, want in zip(spans, wanted, strict=True) if want]


@given(SPANS)
def test_a_read_is_bounded_unless_a_single_span_is_larger(spans: list[Span]) -> None:
    """The server never sorts more than five million rows at once, but for one oversized span."""
    for read in plan_reads(spans, [True] * len(spans)):
        assert len(read.spans) == 1 or sum(span.rows for span in read.spans) <= ROWS_PER_READ


def in_run(label: str, run: tuple[str, str]) -> bool:
    first, last = run
    if label in ("undated", "infinity", "-infinity") or first in ("undated", "infinity", "-infinity"):
        return label == first
    return (number_of(first) or 0) <= (number_of(label) or 0) <= (number_of(last) or 0)


def test_a_date_column_is_compared_bare_so_that_an_index_serves() -> None:
    """The predicate of a date day column has no expression around the column."""
    predicate = day_predicate(DayColumn("day", "date"), [("2025-09-01", "2025-09-30")])
    assert predicate == """("day" >= '1970-01-01'::date + (20332) AND "day" <= '1970-01-01'::date + (20361))"""


def test_a_timestamptz_is_cut_in_its_time_zone() -> None:
    """The day of an instant is the date on the wall in the configured zone."""
    day = DayColumn("at", "timestamptz", "Asia/Kolkata")
    assert day_expression(day) == """("at" AT TIME ZONE 'Asia/Kolkata')::date"""


def test_a_table_without_days_is_read_whole_in_key_order() -> None:
    """Without a day column there is neither a predicate nor a day in the order."""
    column = Column(name="id", pg_type="integer", encoding="native", arrow="int32", not_null=True)
    source = RowSource(TableName("public", "t"), only=False, columns=(column,), day=None, order_by=("id",))
    assert select_rows(source, None) == 'SELECT "id" AS "id" FROM "public"."t" ORDER BY "id" ASC'
