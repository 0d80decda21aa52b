"""Days: labels and numbers against `datetime.date`, and beyond its reach against algebra and a formula of Postgres."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moi_backup.errors import UsageError
from moi_backup.model.day import (
    DATE32_INFINITY,
    DATE32_MINUS_INFINITY,
    INFINITY,
    MINUS_INFINITY,
    UNDATED,
    DayRange,
    label_of,
    month_of,
    number_of,
    order_of,
    parse_day_range,
)

EPOCH = date(1970, 1, 1)
POSTGRES_FIRST = -2440588  # 4714-11-24 BC in the proleptic Gregorian calendar: Julian day 0
POSTGRES_LAST = 2145042905  # 5874897-12-31
DAYS_IN_400_YEARS = 146097

dates = st.dates()
numbers = st.integers(min_value=DATE32_MINUS_INFINITY + 1, max_value=DATE32_INFINITY - 1)
postgres_days = st.integers(min_value=POSTGRES_FIRST, max_value=POSTGRES_LAST)


def date2j(year: int, month: int, day: int) -> int:
    """The Julian day by the formula of Postgres' `date2j` (src/backend/utils/adt/datetime.c)."""
    month, year = (month + 1, year + 4800) if month > 2 else (month + 13, year + 4799)
    century = year // 100
    return year * 365 - 32167 + year // 4 - century + century // 4 + 7834 * month // 256 + day


def civil(label: str) -> tuple[int, int, int]:
    """Year, month and day of a finite label."""
    year, month, day = label.rsplit("-", 2)
    return int(year), int(month), int(day)


@given(dates)
def test_a_label_is_the_iso_date_wherever_python_has_dates(day: date):
    """From year 1 to 9999 labels and numbers are those of `datetime.date`."""
    number = (day - EPOCH).days
    assert label_of(number) == day.isoformat()
    assert number_of(day.isoformat()) == number


@given(numbers)
def test_every_number_survives_its_label(number: int):
    """`number_of` undoes `label_of` over the whole of int32 between the infinities."""
    assert number_of(label_of(number)) == number


@given(postgres_days)
def test_days_before_christ_and_far_days_are_those_of_postgres(number: int):
    """Over the range of Postgres' dates a label's parts give the same Julian day by Postgres' formula."""
    assert date2j(*civil(label_of(number))) == number - POSTGRES_FIRST


@given(numbers.filter(lambda number: number < DATE32_INFINITY - DAYS_IN_400_YEARS))
def test_the_calendar_repeats_every_400_years(number: int):
    """146,097 days later it is the same month and day, 400 years on."""
    year, month, day = civil(label_of(number))
    assert civil(label_of(number + DAYS_IN_400_YEARS)) == (year + 400, month, day)


@given(numbers.filter(lambda number: number < DATE32_INFINITY - 1))
def test_the_next_number_is_the_next_day(number: int):
    """A step of one moves to the following day, or to the first of a month or year."""
    year, month, day = civil(label_of(number))
    following = {(year, month, day + 1), (year, month + 1, 1), (year + 1, 1, 1)}
    assert civil(label_of(number + 1)) in following


@given(numbers, numbers)
def test_days_are_ordered_as_their_numbers_are(one: int, other: int):
    """`order_of` sorts labels as time does, which their text does not."""
    assert (order_of(label_of(one)) < order_of(label_of(other))) == (one < other)


@given(numbers)
def test_the_infinities_and_undated_stand_at_the_ends(number: int):
    """-infinity is first, then dates, infinity, and undated last."""
    labels = [UNDATED, INFINITY, label_of(number), MINUS_INFINITY]
    assert sorted(labels, key=order_of) == labels[::-1]


@pytest.mark.parametrize(
    ("number", "label"),
    [
        (0, "1970-01-01"),
        (-719529, "-0001-12-31"),
        (-719528, "0000-01-01"),
        (POSTGRES_FIRST, "-4713-11-24"),
        (POSTGRES_LAST, "5874897-12-31"),
        (2932897, "10000-01-01"),
        (DATE32_INFINITY, INFINITY),
        (DATE32_MINUS_INFINITY, MINUS_INFINITY),
        (None, UNDATED),
    ],
)
def test_the_labels_at_the_edges_are_fixed(number: int | None, label: str):
    """The stored format knows these labels by heart, in both directions."""
    assert label_of(number) == label
    assert number_of(label) == number


@pytest.mark.parametrize("text", ["", "2025-9-14", "14/09/2025", "2025-09-14T00:00", "NULL", "Infinity", "25-09-14"])
def test_what_is_no_label_has_no_number(text: str):
    """Anything that `label_of` could not have written is refused by name."""
    with pytest.raises(ValueError, match="not a day"):
        number_of(text)


@given(numbers)
def test_a_dates_group_is_its_month(number: int):
    """The group of a date is the label without its day."""
    label = label_of(number)
    assert f"{month_of(label)}-{label[-2:]}" == label


@pytest.mark.parametrize("label", [UNDATED, INFINITY, MINUS_INFINITY])
def test_days_without_a_month_are_their_own_group(label: str):
    """Undated and the infinities are groups of their own and lie in no range."""
    assert month_of(label) == label
    assert label not in DayRange(first="0001-01-01", last="9999-12-31")


@given(dates, dates, st.integers(min_value=-3, max_value=3))
def test_a_range_holds_both_its_ends_and_what_lies_between(one: date, other: date, step: int):
    """A day is in a range exactly if it is neither before the first nor after the last."""
    first, last = min(one, other), max(one, other)
    days = DayRange(first=first.isoformat(), last=last.isoformat())
    for anchor in (first, last):
        number = (anchor - EPOCH).days + step
        assert (label_of(number) in days) == ((first - EPOCH).days <= number <= (last - EPOCH).days)


@given(dates, st.integers(min_value=0, max_value=800))
def test_a_range_survives_its_text(first: date, length: int):
    """What a range prints is what `--days` reads, one day or many."""
    last = min(first + timedelta(days=min(length, (date.max - first).days)), date.max)
    days = DayRange(first=first.isoformat(), last=last.isoformat())
    assert parse_day_range(str(days)) == days


@pytest.mark.parametrize("text", ["", "..", "yesterday", "2025-02-29", "2025-09-01...2025-09-30", "2025-09-01..nope"])
def test_what_is_no_range_is_refused_with_an_example(text: str):
    """The refusal is a usage error that shows how days are written."""
    with pytest.raises(UsageError, match=r"2025-09-01\.\.2025-09-30"):
        parse_day_range(text)


def test_a_range_that_ends_before_it_begins_is_refused_with_the_other_order():
    """Swapped ends are named, not silently emptied."""
    with pytest.raises(UsageError, match=r"Did you mean 2025-09-01\.\.2025-09-30\?"):
        parse_day_range("2025-09-30..2025-09-01")


@pytest.mark.parametrize(
    "label",
    ["2025-02-29", "2025-02-31", "2025-13-01", "2025-00-10", "2025-04-31", "2025-01-00", "२०२५-01-01"],
)
def test_a_day_that_does_not_exist_has_no_number(label: str) -> None:
    """A label is refused rather than read as the day it would run over to."""
    with pytest.raises(ValueError, match="not a day"):
        number_of(label)


def test_a_range_without_an_end_is_refused() -> None:
    """An open range is not silently one day."""
    for text in ("2025-09-01..", "..2025-09-01", ".."):
        with pytest.raises(UsageError):
            parse_day_range(text)
