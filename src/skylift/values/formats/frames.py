"""Tables of pandas, polars and pyarrow as Arrow files.

Arrow keeps the index, the dtypes and the order of columns of a pandas frame in its metadata. What Arrow cannot hold
(objects of mixed types, other indexes) is pickled, by the caller's last resort.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from skylift.values.formats import type_name
from skylift.values.tags import digest_of, reference

if TYPE_CHECKING:
    from skylift.values.codec import ValueCodec


def dump(value: Any, codec: ValueCodec) -> dict[str, Any] | None:
    package = type(value).__module__.partition(".")[0]
    if package == "polars":
        return _dump_polars(value, codec)
    if package == "pyarrow":
        return _dump_arrow(value, codec)
    if package == "pandas" and type(value).__module__.startswith("pandas"):
        return _dump_pandas(value, codec)
    return None


def load_pandas(node: dict[str, Any], codec: ValueCodec) -> Any:
    frame = _read_arrow(node, codec).to_pandas()
    if node.get("type", "").endswith("Series"):
        series = frame.iloc[:, 0]
        series.name = codec.load(node["name"]) if "name" in node else None
        return series
    return frame


def load_polars(node: dict[str, Any], codec: ValueCodec) -> Any:
    import polars

    frame = polars.read_ipc(io.BytesIO(codec.blobs.get(digest_of(node))))
    return frame.to_series() if node.get("type", "").endswith("Series") else frame


def load_arrow(node: dict[str, Any], codec: ValueCodec) -> Any:
    table = _read_arrow(node, codec)
    return table.to_batches()[0] if node.get("type", "").endswith("RecordBatch") else table


def _dump_polars(value: Any, codec: ValueCodec) -> dict[str, Any] | None:
    import polars

    frame = value.to_frame() if isinstance(value, polars.Series) else value
    if polars.Object in frame.dtypes:
        return None
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compat_level=None)
    return _store(buffer.getbuffer(), "polars", value, codec)


def _dump_arrow(value: Any, codec: ValueCodec) -> dict[str, Any] | None:
    import pyarrow

    if isinstance(value, pyarrow.RecordBatch):
        table = pyarrow.Table.from_batches([value])
        return _store(_arrow_bytes(table), "arrow", value, codec) if len(table) else None
    return _store(_arrow_bytes(value), "arrow", value, codec)


def _dump_pandas(value: Any, codec: ValueCodec) -> dict[str, Any] | None:
    """None where a trip through Arrow would not give the very same frame back."""
    try:
        import pyarrow
    except ImportError:
        return None
    import pandas

    series = isinstance(value, pandas.Series)
    frame = value.to_frame("value") if series else value
    if value.attrs or not all(type(name) is str for name in frame.columns) or not frame.columns.is_unique:
        return None
    try:
        table = pyarrow.Table.from_pandas(frame)
        if not _numbers_only(frame):
            pandas.testing.assert_frame_equal(table.to_pandas(), frame, check_exact=True, check_freq=True)
    except (pyarrow.ArrowException, AssertionError, TypeError, ValueError, OverflowError, NotImplementedError):
        return None
    if any(frame[name].dtype == object and not _texts(frame[name]) for name in frame.columns):
        return None
    facts = {"name": codec.dump(value.name, inline=True)} if series and value.name is not None else {}
    return _store(_arrow_bytes(table), "pandas", value, codec, **facts)


def _numbers_only(frame: Any) -> bool:
    """Frames that need no trial, which costs time and memory for large ones."""
    numbers = all(
        getattr(dtype, "kind", "O") in "biuf" and type(dtype).__module__.startswith("numpy") for dtype in frame.dtypes
    )
    return numbers and type(frame.index).__name__ == "RangeIndex" and frame.columns.name is None


def _texts(column: Any) -> bool:
    """Columns of objects come back as they were only if they hold texts, or nothing."""
    return all(item is None or type(item) is str for item in column)


def _store(data: Any, format: str, value: Any, codec: ValueCodec, **facts: Any) -> dict[str, Any]:
    rows = {"rows": len(value)}
    digest = codec.blobs.put(data)
    return reference(digest, format=format, type=type_name(value), size=len(data), **rows, **facts)


def _arrow_bytes(table: Any) -> Any:
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def _read_arrow(node: dict[str, Any], codec: ValueCodec) -> Any:
    """By memory map from the local store: Arrow reads columns in place."""
    import pyarrow

    with pyarrow.memory_map(str(codec.blobs.local_path(digest_of(node)))) as source:
        return pyarrow.ipc.open_file(source).read_all()
