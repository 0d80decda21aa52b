"""pyarrow without types, for calls that the published stubs (of an older version) refuse though they are right."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as compute_functions
import pyarrow.parquet as parquet_functions

arrow: Any = pa
pc: Any = compute_functions
pq: Any = parquet_functions
