import tempfile
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
from hypothesis import given, settings

from moi_backup.lake.arrow_types import arrow_type, canonical, for_driver
from moi_backup.lake.digest import RowDigester
from moi_backup.lake.parquet import ChunkWriter, read_table
from moi_backup.model.day import DATE32_INFINITY, DATE32_MINUS_INFINITY
from moi_backup.model.table import Column
from tests.engine.lake.test_assemble import TABLE
from tests.engine.lake.test_digest import arrow, tables


@given(tables())
@settings(max_examples=120, deadline=None)
def test_rows_come_back_from_a_chunk_file_with_the_digest_they_had(columns: list[tuple[str, str, list[Any]]]) -> None:
    """Every type with its edge values survives encoding, compression and reading; the digest tells."""
    rows, described = arrow(columns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chunk.parquet"
        writer = ChunkWriter(path, columns=described, day_column=None)
        writer.write(rows)
        writer.close()
        back = read_table(path, msgspec.structs.replace(TABLE, columns=tuple(described)))
    assert back.schema.types == [arrow_type(column.arrow) for column in described]
    assert RowDigester(back, described).digest(0, back.num_rows) == RowDigester(rows, described).digest(
        0, rows.num_rows
    )


def test_duckdb_reads_a_chunk_file_with_its_sql_types(tmp_path: Path) -> None:
    """A uuid, a decimal and an infinite date are what SQL calls them."""
    kinds = {
        "u": ("uuid", "fixed_size_binary[16]"),
        "cost": ("numeric(10,2)", "decimal128(10, 2)"),
        "day": ("date", "date32[day]"),
    }
    described = [Column(name=n, pg_type=p, encoding="native", arrow=a) for n, (p, a) in kinds.items()]
    rows = pa.table(
        [
            pa.array([bytes(16)], pa.binary(16)),
            pa.array(["1027.50"]).cast(pa.decimal128(10, 2)),
            pa.array([DATE32_INFINITY], pa.int32()).cast(pa.date32()),
        ],
        names=list(kinds),
    )
    path = tmp_path / "chunk.parquet"
    writer = ChunkWriter(path, columns=described, day_column="day")
    writer.write(rows)
    writer.close()
    found = (
        duckdb.connect()
        .execute(f"SELECT typeof(u), u::text, typeof(cost), cost::text, day::text FROM '{path}'")
        .fetchone()
    )
    assert found == ("UUID", "00000000-0000-0000-0000-000000000000", "DECIMAL(10,2)", "1027.50", "infinity")


def test_infinite_dates_go_to_the_driver_as_they_came() -> None:
    """What the driver wraps on the way out it gets back wrapped."""
    column = Column(name="d", pg_type="date", encoding="native", arrow="date32[day]")
    wrapped = pa.array([-2147472692, -2147472691, 0, None], pa.int32()).cast(pa.date32())
    batch = canonical(pa.record_batch([wrapped], names=["d"]), [column])
    assert batch.column(0).cast(pa.int32()).to_pylist() == [DATE32_INFINITY, DATE32_MINUS_INFINITY, 0, None]
    assert for_driver(pa.Table.from_batches([batch])).column(0).combine_chunks().equals(wrapped)
