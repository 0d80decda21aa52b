"""Rows that two states of a table share, taken out in Arrow before anything dearer looks at the rest.

Pairs are only guessed (the same place, then the same value of the most telling key column), and each guess is proved by
every value, to the bit; so what is taken out is equal, and what remains may still hold equal rows.
"""

# pyarrow's stubs leave the types of arrays unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from moi_backup.lake.untyped import arrow, pc

_SAMPLE_ROWS = 4096
Places = np.ndarray[Any, Any]


class Shared(NamedTuple):
    """The rows of `before` and of `after` that found no equal one, and those (of `after`) that did."""

    before: pa.Table
    after: pa.Table
    equal: pa.Table


def share(before: pa.Table, after: pa.Table, *, fields: Sequence[str], keys: Sequence[str]) -> Shared:
    """Take out rows that are equal in all `fields`, each once for one of the other side.

    `keys` are the fields by which equal rows may be found.
    """
    mine, others = before.combine_chunks(), after.combine_chunks()
    came, found = _same_places(mine, others, fields)
    more_mine, more_others = mine.filter(arrow.array(~came)), others.filter(arrow.array(~found))
    equal = [others.filter(arrow.array(found))]
    if more_mine.num_rows and more_others.num_rows:
        left, right = _same_keys(more_mine, more_others, keys)
        proved = _equal(more_mine.take(arrow.array(left)), more_others.take(arrow.array(right)), fields)
        equal.append(more_others.take(arrow.array(right[proved])))
        more_mine = more_mine.filter(arrow.array(_all_but(left[proved], more_mine.num_rows)))
        more_others = more_others.filter(arrow.array(_all_but(right[proved], more_others.num_rows)))
    return Shared(more_mine, more_others, pa.concat_tables(equal))


def _same_places(before: pa.Table, after: pa.Table, fields: Sequence[str]) -> tuple[Places, Places]:
    """For each row of both sides whether the row at its place in the other is equal."""
    length = min(before.num_rows, after.num_rows)
    equal = _equal(before.slice(0, length), after.slice(0, length), fields)
    return _padded(equal, before.num_rows), _padded(equal, after.num_rows)


def _same_keys(before: pa.Table, after: pa.Table, keys: Sequence[str]) -> tuple[Places, Places]:
    """Places on both sides with the same value of the most telling column, no place twice."""
    name = max(keys, key=lambda key: pc.count_distinct(after.column(key).slice(0, _SAMPLE_ROWS)).as_py())
    found = pc.index_in(_bits(after.column(name)), value_set=_bits(before.column(name)))
    places = np.asarray(pc.fill_null(found, -1))
    hits = np.nonzero(places >= 0)[0]
    left, first = np.unique(places[hits], return_index=True)
    return left, hits[first]


def _equal(before: pa.Table, after: pa.Table, fields: Sequence[str]) -> Places:
    """Row by row whether all fields are the same to the bit, NULL being equal to NULL."""
    same = np.ones(before.num_rows, dtype=bool)
    for field in fields:
        if not same.any():
            break
        left, right = _bits(before.column(field)), _bits(after.column(field))
        equal = pc.equal(left, right)
        if left.null_count or right.null_count:
            both = pc.and_(pc.is_null(left), pc.is_null(right))
            equal = pc.or_(pc.fill_null(equal, fill_value=False), both)
        same &= equal.to_numpy(zero_copy_only=False)
    return same


def _bits(column: Any) -> Any:
    """The column as one array; floats as the integers of their bits, for -0 is not 0 and NaN is NaN."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # an empty column combines to no chunk at all
        array = arrow.array([], type=column.type)
    if pa.types.is_floating(array.type):
        return array.view(pa.int64() if array.type == pa.float64() else pa.int32())
    return array


def _padded(found: Places, length: int) -> Places:
    whole = np.zeros(length, dtype=bool)
    whole[: len(found)] = found
    return whole


def _all_but(places: Places, length: int) -> Places:
    kept = np.ones(length, dtype=bool)
    kept[places] = False
    return kept
