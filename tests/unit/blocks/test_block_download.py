"""Ranges over HTTP: broken connections, several places, wrong bytes, changed sources, the cache."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from range_server import Fault, RangeServer, range_server

from skylift.blocks import download
from skylift.blocks.block import Block
from skylift.blocks.cache import machine_cache
from skylift.blocks.content import open_extent
from skylift.blocks.errors import SourceChanged, SourceInvalid, SourceUnavailable
from skylift.blocks.extent import Extent
from skylift.blocks.fetch import fetch
from skylift.blocks.split import split
from skylift.compute.worker.traffic import Traffic

DATA = random.Random(1).randbytes(200_000)
LINES = b"".join(b'{"n": %d}\n' % number for number in range(20_000))


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    monkeypatch.setenv("SKYLIFT_BLOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "PART", 16 << 10)
    with range_server() as server:
        yield server


def fetched(extent: Extent, pauses: list[float] | None = None) -> bytes:
    with tempfile.TemporaryFile() as file:
        download.fetch_into(extent, file.fileno(), pause=(pauses if pauses is not None else []).append)
        file.seek(0)
        return file.read()


def whole(url: str, *mirrors: str) -> Extent:
    version = download.stat_of(url).version
    others = tuple((mirror, download.stat_of(mirror).version) for mirror in mirrors)
    return Extent(url=url, version=version, size=len(DATA), start=0, end=len(DATA), mirrors=others)


def test_parts_come_in_parallel_and_in_order(web: RangeServer) -> None:
    extent = whole(web.put("a", DATA))
    assert fetched(extent) == DATA
    assert b"".join(download.stream(extent)) == DATA
    starts = [start for _, start, end in web.asked[1:]]
    assert len(starts) == 2 * -(-len(DATA) // (16 << 10))


def test_what_is_fetched_counts_as_read_by_the_attempt(web: RangeServer) -> None:
    traffic = Traffic()
    before = traffic.in_bytes
    assert fetched(whole(web.put("a", DATA))) == DATA
    assert traffic.in_bytes - before == len(DATA)


def test_a_broken_connection_goes_on_at_its_byte(web: RangeServer) -> None:
    extent = whole(web.put("a", DATA))
    web.asked.clear()
    cut = iter([True] * 9)
    web.fault = lambda path, start, end: Fault(cut_after=1_000) if next(cut, False) else None
    pauses: list[float] = []
    assert fetched(extent, pauses) == DATA
    assert len(pauses) == 9
    assert sum(end - start for _, start, end in web.asked) < len(DATA) + 9 * (16 << 10)
    assert any(start % (16 << 10) for _, start, _ in web.asked)


def test_a_server_that_is_busy_is_waited_for(web: RangeServer) -> None:
    extent = whole(web.put("a", DATA))
    busy = iter([Fault(status=503, headers={"Retry-After": "7"}), Fault(status=429)])
    web.fault = lambda path, start, end: next(busy, None)
    pauses: list[float] = []
    assert fetched(extent, pauses) == DATA
    assert len(pauses) == 2
    assert 7 in pauses
    assert all(0 < pause <= 10 for pause in pauses)


def test_what_does_not_come_is_given_up_and_says_why(web: RangeServer) -> None:
    extent = whole(web.put("a", DATA))
    web.fault = lambda path, start, end: Fault(status=500) if start == 32 << 10 else None
    pauses: list[float] = []
    with pytest.raises(SourceUnavailable, match=r"byte 32768 cannot be had: .*/a: HTTP 500"):
        fetched(extent, pauses)
    assert len(pauses) == download.TRIES - 1
    web.files.clear()
    with pytest.raises(SourceUnavailable, match="HTTP 404"):
        fetched(extent, pauses)
    assert len(pauses) == download.TRIES - 1


def test_several_places_share_the_work_and_stand_in_for_each_other(web: RangeServer) -> None:
    with range_server() as other:
        extent = whole(web.put("a", DATA), other.put("b", DATA))
        assert fetched(extent) == DATA
        assert len(web.asked) > 4
        assert len(other.asked) > 4
        web.fault = lambda path, start, end: Fault(cut_after=9_000)
        assert fetched(extent) == DATA
        other.fault = lambda path, start, end: Fault(status=403)
        assert fetched(extent) == DATA
        web.fault = lambda path, start, end: Fault(status=500)
        with pytest.raises(SourceUnavailable, match="HTTP 403"):
            fetched(extent)


def test_a_connection_that_always_breaks_is_given_up_in_the_end(web: RangeServer) -> None:
    extent = whole(web.put("a", DATA))
    web.fault = lambda path, start, end: Fault(cut_after=5)
    pauses: list[float] = []
    with pytest.raises(SourceUnavailable, match="the connection ended"):
        fetched(extent, pauses)
    assert len(pauses) <= download.MOST_FAILURES * download.CONNECTIONS


def test_a_mirror_stands_in_for_a_source_that_is_gone(web: RangeServer) -> None:
    mirror = web.put("mirror.jsonl", LINES)
    blocks = split(f"{web.url}/gone.jsonl", "64 KiB", mirrors=[mirror])
    assert sum(1 for block in blocks for _ in block.rows()) == 20_000
    with pytest.raises(SourceInvalid, match="it is no mirror"):
        split(mirror, mirrors=[web.put("short.jsonl", LINES[:-1])])
    with pytest.raises(SourceInvalid, match="mirrors= is for one source, and there are 2"):
        split([mirror, f"{web.url}/short.jsonl"], mirrors=[mirror])


def test_a_source_that_has_changed_is_noticed(web: RangeServer) -> None:
    url = web.put("a.jsonl", LINES)
    blocks = split(url, "64 KiB")
    web.put("a.jsonl", LINES.replace(b"7", b"8"))
    with pytest.raises(SourceChanged, match=r"a\.jsonl has changed since it was split"):
        list(blocks[1].rows())


def test_wrong_bytes_are_fetched_again_and_never_given(web: RangeServer) -> None:
    lines = b"a,b\n" + b'1,"x\ny"\n' * 20_000
    url = web.put("a.csv", lines)
    blocks = split(url, "64 KiB")
    assert all(block.checksum and block.checksum.startswith("crc32:") for block in blocks)
    flips = iter([Fault(flip=70_000)])
    web.fault = lambda path, start, end: next(flips, None) if start <= 70_000 < end else None
    assert blocks[1].bytes() == lines[blocks[1].start : blocks[1].end]
    machine_cache().drop(blocks[1].key)
    web.fault = lambda path, start, end: Fault(flip=70_000)
    with pytest.raises(SourceChanged, match="do not match crc32:"):
        blocks[1].bytes()


@pytest.mark.parametrize("size", ["64 KiB", "1 GiB"])
def test_a_promised_checksum_is_held(web: RangeServer, size: str) -> None:
    import hashlib

    url = web.put("a.jsonl", LINES)
    good = "sha256:" + hashlib.sha256(LINES).hexdigest()
    assert sum(1 for block in split(url, size, checksum=good) for _ in block.rows()) == 20_000
    bad = "md5:" + hashlib.md5(b"other").hexdigest()
    with pytest.raises(SourceChanged, match=r"match|it is md5:"):
        for block in split(url, size, checksum=bad):
            block.bytes()
    with pytest.raises(SourceInvalid, match="'md5:xyz' is no checksum"):
        split(url, checksum="md5:xyz")


def test_a_block_is_fetched_once_by_a_machine(web: RangeServer) -> None:
    block = split(web.put("a.jsonl", LINES), "64 KiB")[2]
    first = block.bytes()
    web.asked.clear()
    assert block.bytes() == first
    assert web.asked == []
    assert block.key in machine_cache().index()
    path = machine_cache().folder / block.key[:2] / block.key
    path.write_bytes(first[:-1])
    assert block.bytes() == first
    assert web.asked != []


def test_what_tells_no_version_or_does_not_fit_is_not_kept(web: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = web.put("a.jsonl", LINES)
    monkeypatch.setenv("SKYLIFT_BLOCK_CACHE_SIZE", "1 KiB")
    assert sum(1 for block in split(url, "64 KiB") for _ in block.rows()) == 20_000
    monkeypatch.delenv("SKYLIFT_BLOCK_CACHE_SIZE")
    web.tags = False
    blocks = split(url, "64 KiB")
    assert {block.version for block in blocks} == {""}
    assert sum(1 for block in blocks for _ in block.rows()) == 20_000
    assert machine_cache().index() == frozenset()


@pytest.mark.parametrize("lengths", [True, False])
def test_a_server_without_ranges_gives_one_block(web: RangeServer, lengths: bool) -> None:
    web.ranges, web.lengths = False, lengths
    (block,) = split(web.put("a.jsonl", LINES), "64 KiB")
    cut = iter([Fault(cut_after=100_000)])
    web.fault = lambda path, start, end: next(cut, None) if lengths else None
    assert sum(1 for _ in block.rows()) == 20_000


def test_a_whole_source_is_fetched_as_a_file(web: RangeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    monkeypatch.chdir(tmp_path)
    url = web.put("deep/a.bin", DATA)
    cut = iter([True] * 3)
    web.fault = lambda path, start, end: Fault(cut_after=1_000) if end > start + 1 and next(cut, False) else None
    assert fetch(url, mirrors=[web.put("b.bin", DATA)]).read_bytes() == DATA
    assert Path("a.bin").read_bytes() == DATA
    good = "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert fetch(url, tmp_path / "new/c", checksum=good).path == tmp_path / "new/c"
    with pytest.raises(SourceChanged, match="does not match sha256:"):
        fetch(url, "d", checksum="sha256:" + "0" * 64)
    with pytest.raises(SourceUnavailable, match="HTTP 404"):
        fetch(web.url + "/none", "d")
    assert not Path("d").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_url_with_a_password_is_refused_before_it_is_written_anywhere() -> None:
    with pytest.raises(SourceInvalid) as caught:
        split("https://me:hunter2@127.0.0.1/a.csv")
    assert "hunter2" not in str(caught.value)


def test_an_extent_is_a_file_to_seek_in(web: RangeServer, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(DATA)
    version = download.stat_of(str(path)).version
    extent = Extent(url=str(path), version=version, size=len(DATA), start=100, end=1_000)
    with open_extent(extent) as file:
        assert file.read() == DATA[100:1_000]
        file.seek(-5, os.SEEK_END)
        assert file.read(100) == DATA[995:1_000]
        file.seek(1)
        assert (file.read(1), file.tell()) == (DATA[101:102], 2)


def test_a_local_file_that_changes_is_noticed_before_and_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES * 20)
    blocks: list[Block] = split(str(path), "2 MiB")
    rows = blocks[1].rows()
    next(rows)
    path.write_bytes(LINES.replace(b"7", b"8") * 20)
    os.utime(path, (1, 1))
    with pytest.raises(SourceChanged, match="has changed since it was split"):
        list(rows)
    with pytest.raises(SourceChanged, match="bytes then"):
        list(blocks[0].rows())
    path.unlink()
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        list(blocks[0].rows())
