"""Servers that lie, files that are none, and options that nobody means: each is answered in words, and no byte is
guessed."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from range_server import Fault, RangeServer, range_server

from skylift.blocks import download, planning
from skylift.blocks.block import Block
from skylift.blocks.errors import SourceChanged, SourceInvalid, SourceUnavailable
from skylift.blocks.fetch import fetch
from skylift.blocks.split import split

LINES = b"".join(b'{"n": %d}\n' % number for number in range(20_000))
ROWS = [{"n": number} for number in range(20_000)]
CSV = b"a,b\n" + b"".join(b"%d,x\n" % number for number in range(2_000))


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    monkeypatch.setenv("SKYLIFT_BLOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "PART", 16 << 10)
    monkeypatch.setattr(download, "_rest", lambda failures, asked_s, pause: None)
    with range_server() as server:
        yield server


def rows(blocks: list[Block]) -> list[Any]:
    return [row for block in blocks for row in block.rows()]


# Servers ------------------------------------------------------------------------------------------------------------


def test_a_server_that_sends_other_bytes_than_were_asked_for_is_not_believed(web: RangeServer) -> None:
    url = web.put("a.jsonl", LINES)
    web.tags = False
    blocks = split(url, "64 KiB")
    web.fault = lambda path, start, end: Fault(shift=-16) if start > 100_000 else None
    with pytest.raises(SourceUnavailable, match=r"bytes \d+-\d+ were asked for, and the answer is 'bytes \d+-\d+/"):
        rows(blocks)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("lengths", [True, False])
def test_a_source_without_versions_that_grows_or_shrinks_is_noticed(
    web: RangeServer, ranges: bool, lengths: bool
) -> None:
    url = web.put("a.jsonl", LINES)
    web.tags, web.ranges, web.lengths = False, ranges, lengths
    blocks = split(url, "64 KiB")
    assert rows(blocks) == ROWS
    web.put("a.jsonl", LINES + b'{"n": -1}\n')
    with pytest.raises(SourceChanged, match=r"a\.jsonl has changed since it was split"):
        rows(blocks)
    web.put("a.jsonl", LINES[: len(LINES) // 2])
    with pytest.raises((SourceChanged, SourceUnavailable), match=r"has changed since|too soon"):
        rows(blocks)


def test_a_source_that_has_lost_its_end_has_changed_and_is_not_away(web: RangeServer) -> None:
    url = web.put("a.jsonl", LINES)
    last = split(url, "64 KiB")[-1]
    web.put("a.jsonl", LINES[:1_000])
    with pytest.raises(SourceChanged, match="has changed since it was split"):
        last.bytes()


def test_sizes_that_a_server_only_claims_cost_neither_memory_nor_time(web: RangeServer) -> None:
    url = web.put("a.jsonl", LINES)
    web.says = {"Content-Range": f"bytes 0-0/{5 << 40}"}  # the first of two counts
    tracemalloc.start()
    with pytest.raises(SourceUnavailable):
        split(url, "64 KiB")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20
    web.says = {"Content-Range": "bytes 0-0/" + "9" * 5_000}
    with pytest.raises(SourceInvalid, match="nobody tells the size"):
        split(url)


def test_what_a_server_keeps_compressed_is_read_as_such(web: RangeServer) -> None:
    url = web.put("a.jsonl", gzip.compress(LINES))
    web.says = {"Content-Encoding": "gzip"}
    blocks = split(url, "1 KiB")
    assert len(blocks) == 1
    assert rows(blocks) == ROWS
    assert rows(split(web.put("b.jsonl.gz", gzip.compress(LINES)), "1 KiB")) == ROWS
    web.says = {"Content-Encoding": "br"}
    with pytest.raises(SourceInvalid, match="comes with `Content-Encoding: br`"):
        split(url)


@pytest.mark.parametrize("told", ["aws-chunked", "utf-8", "identity, aws-chunked"])
def test_what_stores_keep_as_an_encoding_and_compresses_nothing(web: RangeServer, told: str) -> None:
    url = web.put("a.jsonl", LINES)
    web.says = {"Content-Encoding": told}
    assert rows(split(url, "64 KiB")) == ROWS


def test_urls_are_asked_for_as_a_server_wants_them(web: RangeServer) -> None:
    web.put("d%C3%A9j%C3%A0%20vu.jsonl", LINES)
    assert rows(split(f"{web.url}/déjà vu.jsonl", "64 KiB")) == ROWS
    assert rows(split(f"{web.url}/d%C3%A9j%C3%A0%20vu.jsonl", "64 KiB")) == ROWS


@pytest.mark.parametrize("url", ["http://h:port/a.csv", "http://[::1/a.csv"])
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(SourceInvalid, match="is no URL"):
        split(url)


def test_a_url_that_cannot_be_written_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_rest", lambda failures, asked_s, pause: pytest.fail("it was asked for again"))
    with pytest.raises(SourceUnavailable, match="control characters"):
        split("http://127.0.0.1 x/a.csv")


def test_a_mirror_that_stands_in_needs_no_name_that_tells_a_format(web: RangeServer) -> None:
    mirror = web.put("download", CSV)
    blocks = split(f"{web.url}/gone.csv", "1 KiB", mirrors=[mirror])
    assert len(blocks) > 5
    assert [row["a"] for row in rows(blocks)] == [str(number) for number in range(2_000)]


def test_a_source_that_goes_away_while_it_is_split_is_read_from_its_mirror(web: RangeServer) -> None:
    first, second = web.put("a.csv", CSV * 40), web.put("copy/a.csv", CSV * 40)
    asked = iter(range(1_000))
    web.fault = lambda path, start, end: Fault(status=404) if path == "/a.csv" and next(asked) > 2 else None
    blocks = split(first, "64 KiB", mirrors=[second])
    assert b"".join(block.bytes() for block in blocks) == CSV * 40


def test_a_store_that_tells_no_version_is_asked_for_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    system = fsspec.filesystem("memory")
    monkeypatch.setattr(type(system), "info", lambda self, path: {"name": path, "size": len(self.cat_file(path))})
    try:
        system.pipe("/in/a.jsonl", LINES)
        blocks = split("memory://in/a.jsonl", "64 KiB")
        assert rows(blocks) == ROWS
        system.pipe("/in/a.jsonl", LINES + b'{"n": -1}\n')
        with pytest.raises(SourceChanged, match="no version, 248890 bytes then, no version, 248900 bytes now"):
            rows(blocks)
    finally:
        system.rm("/in", recursive=True)


# Files --------------------------------------------------------------------------------------------------------------


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    for place in (tmp_path / "a.csv", Path("/dev/null"), Path("/dev/zero")):
        with pytest.raises(SourceUnavailable, match="it is a folder, pipe or device"):
            split(str(place), format="csv")
    with pytest.raises(SourceUnavailable, match="it is a folder, pipe or device"):
        fetch(str(tmp_path), tmp_path / "b")
    if Path("/proc/self/status").exists():
        with pytest.raises(SourceInvalid, match="nobody tells the size of /proc/self/status"):
            split("/proc/self/status", format="text")


def test_folders_that_writers_leave_are_no_data(tmp_path: Path) -> None:
    for name in ("a.csv", "_temporary/0/b.csv", ".ipynb_checkpoints/a.csv", "_delta_log/c.csv", "d/_old/e.csv"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"x\n{name}\n")
    folder = str(tmp_path / "in")
    assert [row["x"] for row in rows(split(folder))] == ["a.csv"]
    assert [row["x"] for row in rows(split(f"{folder}/**/*.csv"))] == ["a.csv"]
    assert [row["x"] for row in rows(split(f"{folder}/_temporary"))] == ["_temporary/0/b.csv"]
    assert [row["x"] for row in rows(split(f"{folder}/*/_old/*.csv"))] == ["d/_old/e.csv"]
    system = fsspec.filesystem("memory")
    try:
        system.pipe("/in/a.csv", b"x\n1\n")
        system.pipe("/in/_temporary/0/b.csv", b"x\n2\n")
        assert rows(split("memory://in")) == [{"x": "1"}]
    finally:
        system.rm("/in", recursive=True)


def test_billions_of_cuts_are_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n" * 50_000)
    monkeypatch.setattr(planning, "MOST_BLOCKS", 1_000)
    looks = []
    monkeypatch.setattr(planning, "read", lambda extent: looks.append(extent) or download.read(extent))
    for options in ({}, {"checksum": "sha256:" + "0" * 64}):
        with pytest.raises(SourceInvalid, match="blocks are too many"):
            split(str(path), 1, **options)
    assert len(looks) < 10_000


def test_json_that_is_too_deep_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n' + "[" * 200_000 + "]" * 200_000 + "\n")
    with pytest.raises(SourceInvalid, match=r"a\.jsonl: the line at byte 9 is no JSON: maximum recursion"):
        rows(split(str(path)))


# Parquet ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    pa = pytest.importorskip("pyarrow", reason="needs the extra `data`")
    pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra `data`")
    pq.write_table(pa.table({"a": list(range(30)), "b": ["x"] * 30}), tmp_path / "a.parquet", row_group_size=10)
    return tmp_path / "a.parquet"


@pytest.mark.parametrize("block", ["1 B", "1 MiB"])
def test_the_checksum_of_a_parquet_file_is_held_too(parquet: Path, block: str) -> None:
    with pytest.raises(SourceChanged, match="not sha256:0000"):
        split(str(parquet), block, checksum="sha256:" + "0" * 64)


def test_columns_of_parquet_that_are_not_there_are_named(parquet: Path) -> None:
    block = split(str(parquet))[0]
    for read in (block.arrow, block.pandas):
        with pytest.raises(SourceInvalid, match=r"a\.parquet: there is no column 'c'") as refused:
            read(["a", "c"])
        assert "the columns are a, b" in str(refused.value.hint)


def test_a_damaged_page_of_parquet_names_its_source(parquet: Path) -> None:
    data = bytearray(parquet.read_bytes())
    data[8:120] = b"\xff" * 112
    parquet.write_bytes(data)
    block = split(str(parquet))[0]
    for read in (lambda: list(block.rows()), block.arrow, block.pandas):
        with pytest.raises(SourceInvalid, match=r"a\.parquet cannot be read as a table"):
            read()


def test_parquet_inside_gzip_says_so(parquet: Path) -> None:
    inside = parquet.with_name("a.parquet.gz")
    inside.write_bytes(gzip.compress(parquet.read_bytes()))
    with pytest.raises(SourceInvalid, match="is Parquet within gzip"):
        split(str(inside))


# Tables of text -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["a,a\n1,2\n3,4\n5,6\n", "\n\na,b\n1,2\n\n\n\n3,4\n", "a,b\n1,2\n3,4" + "\n" * 40, 'a,"b\nb"\n1,"2\n2"\n3,4\n'],
)
def test_frames_and_tables_of_blocks_have_the_columns_of_the_whole(tmp_path: Path, text: str) -> None:
    pd = pytest.importorskip("pandas", reason="needs the extra `data`")
    path = tmp_path / "a.csv"
    path.write_text(text)
    blocks = split(str(path), 4)
    assert len(blocks) > 1
    frame = pd.concat([block.pandas(dtype=str) for block in blocks], ignore_index=True)
    assert frame.equals(pd.read_csv(path, dtype=str))
    assert all(len(block.arrow().column_names) == 2 for block in blocks)


def test_what_a_library_cannot_read_names_the_source(tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="needs the extra `data`")
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1\n3,4,5\n")
    block = split(str(path))[0]
    with pytest.raises(SourceInvalid, match=r"a\.csv cannot be read as a table: ArrowInvalid: .*Expected 2 columns"):
        block.arrow()
    for read in (block.arrow, block.pandas):
        with pytest.raises(SourceInvalid, match=r"a\.csv cannot be read as a table: .*zz"):
            read(["zz"])
    assert rows([block]) == [{"a": "1", "b": None}, {"a": "3", "b": "4", None: ["5"]}]


def test_json_lines_in_latin_1_are_tables_too(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra `data`")
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps({"a": "é"}, ensure_ascii=False).encode("latin-1") + b"\n")
    block = split(str(path), encoding="latin-1")[0]
    assert block.arrow().to_pylist() == [{"a": "é"}]
    for read in (block.arrow, block.pandas):
        with pytest.raises(SourceInvalid, match=r"a\.jsonl: there is no column 'c'"):
            read(["c"])


# Options ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": None}, "url=None is neither a URL"),
        ({"url": 5}, "url=5 is neither a URL"),
        ({"url": {"a.csv": 1}}, "is neither a URL"),
        ({"url": "a\0.csv"}, "is no URL"),
        ({"columns": []}, r"columns=\[\] are no names"),
        ({"columns": "ab"}, "columns='ab' are no names"),
        ({"columns": ["a", "a"]}, "are no names"),
        ({"columns": [1]}, "are no names"),
        ({"encoding": None}, "encoding=None is not known"),
        ({"delimiter": ""}, "delimiter='' must be one ASCII"),
        ({"checksum": 5}, "5 is no checksum"),
        ({"mirrors": 5}, "mirrors=5 is neither a URL"),
        ({"mirrors": [None]}, "None is no URL"),
    ],
)
def test_options_that_nobody_means(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceInvalid, match=said):
        split(**{"url": str(tmp_path / "a.csv"), **options})


def test_one_place_needs_no_list_and_a_path_no_text(tmp_path: Path) -> None:
    """As a list of letters `/` would be allowed, and so every file."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("x\n1\n")
    (tmp_path / "b.csv").write_text("x\n2\n")
    inside: Any = str(tmp_path / "in")
    place: Any = tmp_path / "in/a.csv"
    assert rows(split(place, allow=inside)) == [{"x": "1"}]
    with pytest.raises(SourceInvalid, match="is not in"):
        split(str(tmp_path / "b.csv"), allow=inside)
    other: Any = str(tmp_path / "in/a.csv")
    assert split(str(tmp_path / "b.csv"), mirrors=other)[0].mirrors[0].url == other
