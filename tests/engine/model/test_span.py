from hypothesis import given
from hypothesis import strategies as st

from moi_backup.model.day import label_of, month_of, order_of
from moi_backup.model.span import SHARED_ROWS, may_hold, plan_spans, third_of

LABELS = st.one_of(
    st.integers(-1000, 1000).map(lambda number: label_of(20000 + number)),
    st.sampled_from(["undated", "infinity", "-infinity"]),
)
COUNTS = st.dictionaries(LABELS, st.integers(0, 3 * SHARED_ROWS), max_size=40)


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
def test_days_share_a_chunk_exactly_while_it_is_small(rows_of_day: dict[str, int]) -> None:
    """At most 20,000 rows in a month, or in a third of a larger one, are one span; one row more, and it is cut."""
    for span in plan_spans(rows_of_day):
        label = span.days[0][0]
        of_month = sum(rows for other, rows in rows_of_day.items() if month_of(other) == span.month)
        if span.month == label:
            assert not span.is_shared
            continue
        of_third = sum(
            rows
            for other, rows in rows_of_day.items()
            if month_of(other) == span.month and third_of(other) == third_of(label)
        )
        expected = span.month if of_month <= SHARED_ROWS else third_of(label) if of_third <= SHARED_ROWS else label
        assert span.name == expected


@given(COUNTS)
def test_a_span_holds_the_days_its_name_says(rows_of_day: dict[str, int]) -> None:
    """Every day of a span may lie in it, and a span of another name never may."""
    spans = plan_spans(rows_of_day)
    for span in spans:
        assert all(may_hold(span.name, label) for label, _ in span.days)
    for one in spans:
        assert not any(may_hold(other.name, one.days[0][0]) for other in spans if other.name != one.name)


def test_the_borders_of_a_month_do_not_depend_on_other_months() -> None:
    """A large month beside a small one leaves the small one whole, and is cut no finer than it must be."""
    spans = plan_spans(
        {"2025-01-01": 20_001, "2025-01-20": 9, "2025-01-21": 8, "2025-01-31": 7, "2025-02-01": 20_000, "undated": 1}
    )
    assert [(span.name, span.is_shared) for span in spans] == [
        ("2025-01-01", False), ("2025-01-11_20", True), ("2025-01-21_31", True), ("2025-02", True), ("undated", False),
    ]  # fmt: skip
