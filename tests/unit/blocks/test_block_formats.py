"""Which sources there are, how they are named and written, and what a block of each gives."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import logging
import lzma
from pathlib import Path
from typing import Any

import fsspec
import pytest

import skylift
from skylift.blocks.block import Block
from skylift.blocks.errors import SourceInvalid, SourceUnavailable
from skylift.blocks.split import split
from skylift.stores.files import FileBlobStore
from skylift.units import InvalidAmount
from skylift.values.codec import ValueCodec

RECORDS = [[str(number), f'say "{number}",\nagain', "é€"] for number in range(3_000)]
NAMES = ["n", "text", "sign"]
ROWS = [dict(zip(NAMES, record, strict=True)) for record in RECORDS]


def csv_text(**options: Any) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, **options).writerows([NAMES, *RECORDS])
    return out.getvalue()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes(csv_text().encode())
    return path


def rows(blocks: list[Block]) -> list[Any]:
    return [row for block in blocks for row in block.rows()]


def test_every_way_to_read_a_block_sees_the_same_records(source: Path) -> None:
    pd = pytest.importorskip("pandas", reason="needs the extra `data`")
    pa = pytest.importorskip("pyarrow", reason="needs the extra `data`")
    blocks = split(str(source), "32 KiB")
    assert len(blocks) == 4
    assert rows(blocks) == ROWS
    assert "".join(block.text() for block in blocks) == csv_text()
    assert [line for block in blocks for line in block.lines()] == csv_text().replace("\r\n", "\n").split("\n")[:-1]
    frame = pd.concat([block.pandas() for block in blocks], ignore_index=True)
    assert frame.astype(str).to_dict("records") == ROWS
    assert pd.concat([block.pandas(["n"], dtype=str) for block in blocks])["n"].tolist() == [row["n"] for row in ROWS]
    table = pa.concat_tables([block.arrow() for block in blocks])
    assert [{**row, "n": str(row["n"])} for row in table.to_pylist()] == ROWS
    assert blocks[1].arrow(["sign"]).column_names == ["sign"]


def test_a_block_travels_as_visible_json(source: Path, tmp_path: Path) -> None:
    codec = ValueCodec(FileBlobStore(tmp_path / "blobs"))
    block = split(str(source), "32 KiB")[1]
    dumped = codec.dump(block)
    assert dumped["__type__"] == "skylift.blocks.block:Block"
    assert (dumped["start"], dumped["end"], dumped["url"]) == (block.start, block.end, str(source))
    assert len(json.dumps(dumped)) < 700
    back = codec.load(json.loads(json.dumps(dumped)), Block)
    assert back == block
    assert rows([back]) == rows([block])


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_what_is_compressed_is_one_block_and_says_so(
    tmp_path: Path, suffix: str, compress: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(compress(csv_text().encode()))
    with caplog.at_level(logging.INFO, "skylift.blocks"):
        blocks = split(str(path), 100)
    assert len(blocks) == 1
    assert "so it cannot be cut: one block" in caplog.text
    assert rows(blocks) == ROWS
    assert blocks[0].bytes() == csv_text().encode()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceInvalid, match=rf"a\.csv{suffix} cannot be decompressed"):
        rows(split(str(path), 100))


def test_zstandard_comes_with_arrow(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra `data`")
    path = tmp_path / "a.jsonl.zst"
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        out.write("".join(json.dumps(row) + "\n" for row in ROWS).encode())
    blocks = split(str(path), 100)
    assert len(blocks) == 1
    assert rows(blocks) == ROWS


def test_parquet_is_cut_by_row_groups_and_read_by_columns(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra `data`")
    pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra `data`")
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=500)
    blocks = split(str(path), 1)
    assert [block.row_groups for block in blocks] == [[number] for number in range(6)]
    assert rows(blocks) == ROWS
    assert blocks[2].pandas(["n"])["n"].tolist() == [row["n"] for row in ROWS[1000:1500]]
    assert len(split(str(path))) == 1
    with pytest.raises(SourceInvalid, match="is Parquet, which is no text"):
        blocks[0].text()
    path.write_bytes(b"no parquet, whatever its name says")
    with pytest.raises(SourceInvalid, match=r"a\.parquet is no Parquet: it ends with b'says'"):
        split(str(path))


def test_folders_patterns_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.csv", "a.csv", "deep/c.csv.gz", "_SUCCESS", ".hidden.csv", "notes.md", "d.jsonl"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = '{"x": 1}\n' if name.endswith("jsonl") else f"x\n{name}\n"
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    monkeypatch.chdir(tmp_path)
    assert [Path(block.url).name for block in split("in")] == ["a.csv", "b.csv", "d.jsonl", "c.csv.gz"]
    assert [row["x"] for row in rows(split("in/*.csv"))] == ["a.csv", "b.csv"]
    assert [row["x"] for row in rows(split("in/**/*.csv*"))] == ["a.csv", "b.csv", "deep/c.csv.gz"]
    assert len(split(["in/b.csv", "in/*.csv"])) == 2
    assert split("in/a.csv")[0].url == str(tmp_path / "in/a.csv")
    assert split((tmp_path / "in/a.csv").as_uri())[0].url == str(tmp_path / "in/a.csv")
    with pytest.raises(SourceUnavailable, match="means no source: 1 files, none of a known format"):
        split("in/*.md")
    assert list(split("in/*.md", format="text")[0].lines()) == ["x", "notes.md"]


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("x\n1\n")
    (tmp_path / "a1.csv").write_text("x\n2\n")
    assert rows(split(str(tmp_path / "a[1].csv"))) == [{"x": "1"}]


def test_other_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYLIFT_BLOCK_CACHE", str(tmp_path))
    system = fsspec.filesystem("memory")
    try:
        system.pipe("/in/a.csv", csv_text().encode())
        system.pipe("/in/b.csv.gz", gzip.compress(csv_text().encode()))
        blocks = split("memory://in", "32 KiB")
        assert [(Path(block.url).name, block.index) for block in blocks] == [
            ("a.csv", 0),
            ("a.csv", 1),
            ("a.csv", 2),
            ("a.csv", 3),
            ("b.csv.gz", 0),
        ]
        assert rows(blocks) == ROWS * 2
        assert len(split("memory://in/*.csv")) == 1
        with pytest.raises(SourceUnavailable, match="FileNotFoundError"):
            split("memory://in/c.csv")
    finally:
        system.rm("/in", recursive=True)
    with pytest.raises(SourceInvalid, match=r"'nowhere://a\.csv' cannot be opened"):
        split("nowhere://a.csv")


def test_tabs_are_told_by_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(csv_text(delimiter="\t"))
    assert rows(split(str(path), "16 KiB")) == ROWS


def test_quoted_newlines_may_be_ruled_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(f'{number},"x"\n' for number in range(5_000)))
    quick, exact = split(str(path), "8 KiB", quoted_newlines=False), split(str(path), "8 KiB")
    assert quick == exact
    assert len(quick) > 5


def test_an_empty_source_has_no_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("")
    assert split(str(path)) == []
    path.write_text("a,b\n")
    assert rows(split(str(path), 2)) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_wide_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(csv_text().encode(encoding))
    with pytest.raises(SourceInvalid, match=rf"a\.csv is {encoding}: its newlines"):
        split(str(path), "1 KiB")
    with pytest.raises(SourceInvalid, match=r"a\.csv is not utf-8"):
        rows(split(str(path)))
    with pytest.raises(SourceInvalid, match=f"encoding='{encoding}'"):
        split(str(path), encoding=encoding)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"block": "some"}, "block='some' is not an amount"),
        ({"block": 0}, "block=0 is less than 1 byte"),
        ({"format": "xml"}, "format='xml' is not known"),
        ({"delimiter": ";;"}, "delimiter=';;' must be one ASCII character"),
        ({"delimiter": '"'}, "must differ"),
        ({"escape": "\n"}, r"escape='\\n' must be one ASCII character"),
        ({"encoding": "klingon"}, "encoding='klingon' is not known"),
        ({"checksum": "sha256:12"}, "'sha256:12' is no checksum"),
    ],
)
def test_options_that_cannot_be(source: Path, options: Any, said: str) -> None:
    with pytest.raises((SourceInvalid, InvalidAmount), match=said):
        split(str(source), **options)


def test_sources_that_cannot_be(tmp_path: Path) -> None:
    for url, said in (
        ("", "is no URL"),
        ("s3://a::b.csv", "one place inside another"),
        ("file://h/a", "names the host"),
    ):
        with pytest.raises(SourceInvalid, match=said):
            split(url)
    (tmp_path / "data").write_text("x")
    with pytest.raises(SourceInvalid, match="tells no format"):
        split(str(tmp_path / "data"))
    with pytest.raises(SourceUnavailable, match="is not there"):
        split(str(tmp_path / "none.csv"))
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": oops}\n')
    with pytest.raises(SourceInvalid, match=r"a\.jsonl: the line at byte 9 is no JSON.*oops"):
        rows(split(str(tmp_path / "a.jsonl")))
    (tmp_path / "l.csv").write_bytes("a\né\n".encode("latin-1"))
    with pytest.raises(SourceInvalid, match=r"l\.csv is not utf-8"):
        rows(split(str(tmp_path / "l.csv")))
    assert rows(split(str(tmp_path / "l.csv"), encoding="latin-1")) == [{"a": "é"}]
    wide = tmp_path / "wide.csv"
    wide.write_text("x\n" + "1\n" * 100_001)
    with pytest.raises(SourceInvalid, match="blocks are too many"):
        split(str(wide), 1)


def test_sources_that_somebody_else_names_stay_where_they_may_be(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("x\n1\n")
    (tmp_path / "secret.csv").write_text("x\n2\n")
    (tmp_path / "in/link.csv").symlink_to(tmp_path / "secret.csv")
    allow = [str(tmp_path / "in"), "https://data.example.com/open"]
    assert rows(split(str(tmp_path / "in/a.csv"), allow=allow)) == [{"x": "1"}]
    for url in (
        f"{tmp_path}/secret.csv",
        f"{tmp_path}/in/../secret.csv",
        f"{tmp_path}/in/link.csv",
        f"{tmp_path}/in",
        f"file://{tmp_path}/secret.csv",
        "https://data.example.com/opened/a.csv",
        "https://data.example.com/open/../a.csv",
        "https://data.example.com.evil.org/open/a.csv",
        "http://data.example.com/open/a.csv",
        "s3://bucket/a.csv",
    ):
        with pytest.raises(SourceInvalid, match=r"is not in .*, https://data.example.com/open"):
            split(url, allow=allow)


def test_split_is_a_task_of_the_package() -> None:
    assert skylift.split.target == "skylift.blocks.split:split"
    assert skylift.Block is Block
