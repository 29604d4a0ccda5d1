"""Whatever a source holds and wherever it is cut, the blocks hold what the plain readers find in the whole."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.blocks.boundaries import cuts_in, cuts_near
from skylift.blocks.quotes import QuoteScanner
from skylift.blocks.split import split

FOLDER = Path(tempfile.mkdtemp(prefix="skylift-test-"))
TRICKY = st.text(alphabet='",;\t\n\r\\ab é€\U0001f600\u2028', max_size=120)
SIZES = st.integers(1, 60)


@pytest.fixture(scope="module", autouse=True)
def folder() -> Iterator[None]:
    yield
    for path in FOLDER.iterdir():
        path.unlink()
    FOLDER.rmdir()


def written(name: str, data: bytes) -> str:
    path = FOLDER / name
    path.write_bytes(data)
    return str(path)


def as_rows(names: list[str], records: list[list[str]]) -> list[dict[Any, Any]]:
    """Records as csv.DictReader gives them."""
    rows = []
    for record in records:
        row: dict[Any, Any] = dict(zip(names, record, strict=False))
        if len(record) > len(names):
            row[None] = record[len(names) :]
        row.update(dict.fromkeys(names[len(record) :]))
        rows.append(row)
    return rows


@settings(deadline=None, max_examples=400)
@given(
    text=TRICKY,
    head=st.sampled_from(["x,y\n", '"x\n1",y\r\n', "\n\nx,y,z\n", "only\n", "x;y\r"]),
    mark=st.booleans(),
    delimiter=st.sampled_from(",;\t"),
    escape=st.sampled_from([None, "\\"]),
    quote=st.sampled_from(['"', '"', None]),
    block=SIZES,
)
def test_csv(
    text: str, head: str, mark: bool, delimiter: str, escape: str | None, quote: str | None, block: int
) -> None:
    data = (b"\xef\xbb\xbf" if mark else b"") + (head + text).encode()
    blocks = split(written("a.csv", data), block, delimiter=delimiter, escape=escape, quote=quote)
    quoting = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    reader = csv.reader(
        io.StringIO(head + text, newline=""), delimiter=delimiter, escapechar=escape, quotechar=quote, quoting=quoting
    )
    names, *records = [record for record in reader if record]
    assert [row for one in blocks for row in one.rows()] == as_rows(names, records)
    assert b"".join(one.bytes() for one in blocks) == data
    assert [one.index for one in blocks] == list(range(len(blocks)))


@settings(deadline=None, max_examples=150)
@given(
    records=st.lists(st.lists(st.text(alphabet='",\n\raé', max_size=8), min_size=2, max_size=4), max_size=12),
    encoding=st.sampled_from(["utf-8", "latin-1", "cp1252", "iso8859-15"]),
    ending=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    block=SIZES,
)
def test_csv_that_a_writer_wrote(records: list[list[str]], encoding: str, ending: str, last: bool, block: int) -> None:
    """RFC 4180, with and without a newline at the end, without a header line, in encodings of one and more bytes."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=ending).writerows(records)
    text = out.getvalue() if last else out.getvalue().removesuffix(ending)
    path = written("b.csv", text.encode(encoding))
    blocks = split(path, block, columns=["a", "b", "c"], encoding=encoding)
    found = [record for record in csv.reader(io.StringIO(text, newline="")) if record]
    assert [row for one in blocks for row in one.rows()] == as_rows(["a", "b", "c"], found)


@settings(deadline=None, max_examples=200)
@given(
    values=st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=12,
    ),
    ending=st.sampled_from(["\n", "\r\n", "\n\n"]),
    ascii=st.booleans(),
    mark=st.booleans(),
    last=st.booleans(),
    block=SIZES,
)
def test_json_lines(values: list[Any], ending: str, ascii: bool, mark: bool, last: bool, block: int) -> None:
    lines = [json.dumps(value, ensure_ascii=ascii) for value in values]
    text = ending.join(lines) + (ending if last else "")
    data = (b"\xef\xbb\xbf" if mark else b"") + text.encode("utf-8", "replace")
    blocks = split(written("c.jsonl", data), block)
    expected = [json.loads(line) for line in data.decode("utf-8-sig").split("\n") if line.strip()]
    assert [value for one in blocks for value in one.rows()] == expected
    assert b"".join(one.bytes() for one in blocks) == data


@settings(deadline=None, max_examples=200)
@given(
    text=st.text(alphabet="ab\n\r", max_size=200),
    pieces=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    block=SIZES,
)
def test_looking_at_the_cuts_only_finds_the_same_cuts(text: str, pieces: list[int], block: int) -> None:
    data = text.encode()
    read, at = [], 0
    while at < len(data):
        step = pieces[len(read) % len(pieces)]
        read.append(data[at : at + step])
        at += step
    streamed = [cut.end for cut in cuts_in(read, QuoteScanner(), head=b"", block=block)]
    looked = cuts_near(lambda start, end: data[start:end], start=0, size=len(data), block=block) if data else []
    assert streamed == looked


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.tuples(st.integers(-(2**31), 2**31), st.text(max_size=6), st.none() | st.floats(allow_nan=False)),
        max_size=40,
    ),
    group=st.integers(1, 15),
    block=st.integers(1, 2_000),
)
def test_parquet(rows: list[tuple[int, str, float | None]], group: int, block: int) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra `data`")
    pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra `data`")
    clean = [(n, text.encode("utf-8", "replace").decode(), x) for n, text, x in rows]
    schema = pa.schema([("n", pa.int64()), ("text", pa.string()), ("x", pa.float64())])
    table = pa.Table.from_pylist([dict(zip(("n", "text", "x"), row, strict=True)) for row in clean], schema)
    path = FOLDER / "d.parquet"
    pq.write_table(table, path, row_group_size=group)
    blocks = split(str(path), block)
    assert [row for one in blocks for row in one.rows()] == table.to_pylist()
    assert [number for one in blocks for number in one.row_groups] == list(range(pq.ParquetFile(path).num_row_groups))
    if blocks:
        assert pa.concat_tables([one.arrow() for one in blocks]) == table
        only = pa.concat_tables([one.arrow(["x"]) for one in blocks])
        assert only == table.select(["x"])
