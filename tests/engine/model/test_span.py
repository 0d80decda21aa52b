from hypothesis import given
from hypothesis import strategies as st

from moi_backup.model.day import label_of, month_of, order_of
from moi_backup.model.span import MONTH_ROWS, plan_spans

LABELS = st.one_of(
    st.integers(-1000, 1000).map(lambda number: label_of(20000 + number)),
    st.sampled_from(["undated", "infinity", "-infinity"]),
)
COUNTS = st.dictionaries(LABELS, st.integers(0, 3 * MONTH_ROWS), max_size=40)


@given(COUNTS)
def test_every_day_with_rows_lies_in_exactly_one_span(rows_of_day: dict[str, int]) -> None:
    """No row is left out and none is stored twice."""
    planned = [day for span in plan_spans(rows_of_day) for day in span.days]
    assert sorted(planned) == sorted((label, rows) for label, rows in rows_of_day.items() if rows)


@given(COUNTS)
def test_spans_come_in_day_order(rows_of_day: dict[str, int]) -> None:
    """-infinity, dates, infinity, undated: the order in which the server sends them."""
    planned = [label for span in plan_spans(rows_of_day) for label, _ in span.days]
    assert planned == sorted(planned, key=order_of)


@given(COUNTS)
def test_a_month_is_one_span_exactly_while_it_is_small(rows_of_day: dict[str, int]) -> None:
    """At most 20,000 rows in a month share a chunk; one more, and every day has its own."""
    for span in plan_spans(rows_of_day):
        in_month = sum(rows for label, rows in rows_of_day.items() if month_of(label) == span.month)
        has_months = span.days[0][0] != span.month
        assert span.is_month == (has_months and in_month <= MONTH_ROWS)


def test_where_the_month_ends_does_not_depend_on_other_months() -> None:
    """A large month beside a small one leaves the small one whole."""
    spans = plan_spans({"2025-01-01": 20_001, "2025-02-01": 20_000, "2025-02-02": 0, "undated": 1})
    assert [(span.name, span.is_month) for span in spans] == [
        ("2025-01-01", False),
        ("2025-02", True),
        ("undated", False),
    ]
