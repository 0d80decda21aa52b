"""Two multisets of rows become a story of rows that appeared, changed and disappeared, and it adds up."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from moi_backup.lake.row_texts import Row
from moi_backup.operations.row_changes import ColumnChange, RowChange, present, row_changes


def row(**values: str) -> Row:
    return tuple(sorted(values.items()))


rows = st.lists(
    st.fixed_dictionaries({"id": st.sampled_from("12")}, optional={"v": st.sampled_from("ab"), "w": st.just("x")})
    .map(lambda values: row(**values))
).map(Counter)  # fmt: skip


def told(changes: tuple[RowChange, ...]) -> list[tuple[str, int, dict[str, str]]]:
    return [(change.what, change.rows, change.row) for change in changes]


def test_rows_with_the_same_key_are_one_row_that_changed():
    """Its columns are told before and after, NULL where it has none; others appeared or disappeared."""
    before = Counter([row(id="1", v="a"), row(id="2", v="a"), row(id="4")])
    after = Counter([row(id="1", w="x"), row(id="3", v="a"), row(id="4")])
    gone, changed, came = row_changes(before, after, key=["id"])
    assert (gone.what, gone.row) == ("disappeared", {"id": "2", "v": "a"})
    assert (came.what, came.row) == ("appeared", {"id": "3", "v": "a"})
    assert changed.columns == (
        ColumnChange(column="v", before="a", after=None),
        ColumnChange(column="w", before=None, after="x"),
    )


def test_a_key_that_several_rows_have_pairs_none_of_them():
    """Which of them became which is not known, so it is not said."""
    before, after = Counter([row(id="1", v="a"), row(id="1", v="b")]), Counter([row(id="1", v="c")])
    assert [change.what for change in row_changes(before, after, key=["id"])] == [
        "disappeared",
        "disappeared",
        "appeared",
    ]
    twice = Counter({row(id="1", v="a"): 2})
    assert told(row_changes(twice, after, key=["id"])) == [
        ("disappeared", 2, {"id": "1", "v": "a"}),
        ("appeared", 1, {"id": "1", "v": "c"}),
    ]


def test_without_a_key_one_row_for_one_is_a_change():
    """As soon as more went or came, nothing tells which belong together."""
    one, other = row(v="a"), row(v="b")
    assert [change.what for change in row_changes(Counter([one]), Counter([other]), key=None)] == ["changed"]
    more = row_changes(Counter([one, one]), Counter([other]), key=None)
    assert [(change.what, change.rows) for change in more] == [("disappeared", 2), ("appeared", 1)]
    assert told(present(Counter([one, one]))) == [("present", 2, {"v": "a"})]


@given(rows, rows, st.sampled_from([None, ["id"], ["id", "v"]]))
def test_the_changes_lead_from_the_one_to_the_other(before: Counter[Row], after: Counter[Row], key: list[str] | None):
    """Taking away what went and adding what came gives exactly the rows afterwards; equal rows change nothing."""
    changes = row_changes(before, after, key=key)
    now = before.copy()
    for change in changes:
        if change.what == "changed":
            old = {**change.row, **{column.column: column.before for column in change.columns}}
            now[row(**{name: value for name, value in old.items() if value is not None})] -= 1
            assert change.columns
        now[row(**change.row)] += -change.rows if change.what == "disappeared" else change.rows
    assert +now == after
    assert min(now.values(), default=0) >= 0
    assert (changes == ()) == (before == after)
