"""Blocks on disk, and where calls that read them would best run."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from skylift.blocks.block import Block
from skylift.blocks.cache import BlockCache, machine_cache
from skylift.blocks.errors import SourceInvalid
from skylift.blocks.keys import block_keys
from skylift.blocks.whereabouts import Whereabouts
from skylift.stores.files import FileBlobStore
from skylift.units import InvalidAmount
from skylift.values.codec import ValueCodec

KEYS = [f"{number:064x}" for number in range(16, 2_000, 256)]


def fill(cache: BlockCache, key: str, data: bytes) -> None:
    with cache.filling(len(data)) as filling, filling.file as file:
        file.write(data)
        filling.keep(key)


def held(cache: BlockCache, key: str, length: int) -> bytes | None:
    file = cache.open(key, length)
    if file is None:
        return None
    with file:
        return file.read()


def test_what_is_kept_is_found_by_whoever_asks(tmp_path: Path) -> None:
    fill(BlockCache(tmp_path, 100), KEYS[0], b"block")
    cache = BlockCache(tmp_path, 100)
    assert held(cache, KEYS[0], 5) == b"block"
    assert cache.holding(KEYS) == cache.index() == {KEYS[0]}
    cache.drop(KEYS[0])
    assert held(cache, KEYS[0], 5) is None


def test_what_is_not_whole_is_never_given(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 100)
    with pytest.raises(KeyboardInterrupt), cache.filling(5) as filling, filling.file as file:
        file.write(b"bl")
        raise KeyboardInterrupt
    fill(cache, KEYS[1], b"cut")
    assert held(cache, KEYS[1], 5) is None
    assert not cache.index()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [".lock"]


def test_the_longest_unused_goes_first_and_readers_keep_it(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 30)
    for age, key in enumerate(KEYS[:3]):
        fill(cache, key, bytes(10))
        os.utime(tmp_path / key[:2] / key, (age, age))
    assert held(cache, KEYS[0], 10) == bytes(10)  # a use
    reading = cache.open(KEYS[1], 10)
    os.utime(tmp_path / KEYS[1][:2] / KEYS[1], (1, 1))
    fill(cache, KEYS[3], bytes(10))
    assert cache.index() == {KEYS[0], KEYS[2], KEYS[3]}
    assert reading is not None
    with reading:
        assert reading.read() == bytes(10)


def test_what_a_killed_process_left_is_removed_in_time(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 100)
    old, young = tmp_path / ".part-old", tmp_path / ".part-young"
    for path in (old, young):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    fill(cache, KEYS[0], b"x")
    assert not old.exists()
    assert young.exists()


def test_many_threads_fill_and_read_one_small_cache(tmp_path: Path) -> None:
    cache = BlockCache(tmp_path, 50)
    wrong: list[bytes] = []

    def work(number: int) -> None:
        for turn in range(40):
            index = (number + turn) % len(KEYS)
            fill(cache, KEYS[index], bytes([index]) * 10)
            found = held(cache, KEYS[index], 10)
            if found not in (None, bytes([index]) * 10):
                wrong.append(found or b"")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    fill(cache, KEYS[0], bytes(10))
    assert len(cache.index()) <= 6


def test_the_environment_says_where_and_how_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYLIFT_BLOCK_CACHE", str(tmp_path / "b"))
    monkeypatch.setenv("SKYLIFT_BLOCK_CACHE_SIZE", "1 GiB")
    assert (machine_cache().folder, machine_cache().limit) == (tmp_path / "b", 2**30)
    monkeypatch.setenv("SKYLIFT_BLOCK_CACHE_SIZE", "0")
    assert not machine_cache().fits(1)
    monkeypatch.setenv("SKYLIFT_BLOCK_CACHE_SIZE", "big")
    with pytest.raises(InvalidAmount, match="SKYLIFT_BLOCK_CACHE_SIZE='big'"):
        machine_cache()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SKYLIFT_BLOCK_CACHE", str(tmp_path / "file"))
    monkeypatch.delenv("SKYLIFT_BLOCK_CACHE_SIZE")
    with pytest.raises(SourceInvalid, match="is no folder"):
        machine_cache()


def block(url: str, start: int, version: str = "etag:1") -> Block:
    return Block(
        url=url,
        format="csv",
        index=0,
        start=start,
        end=start + 10,
        size=100,
        version=version,
        checksum="crc32:00000000",
    )


def test_the_keys_of_a_call_are_those_of_its_blocks(tmp_path: Path) -> None:
    codec = ValueCodec(FileBlobStore(tmp_path))
    blocks = [block("s3://b/a.csv", start) for start in (0, 10, 20)]
    arguments = {"part": codec.dump(blocks[0]), "more": codec.dump({"x": [blocks[1], blocks[2], blocks[0]]}), "n": 3}
    assert block_keys(arguments) == tuple(one.key for one in blocks)
    assert len({one.key for one in blocks}) == 3
    assert block("s3://b/a.csv", 0, "etag:2").key != blocks[0].key


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        "text",
        {"__type__": "skylift.blocks.block:Block"},
        {"__type__": "skylift.blocks.block:Block", "url": 3, "version": "v", "size": 1, "start": 0, "end": 1},
        {"__type__": "skylift.blocks.block:Block", "url": "s3://b", "version": "v", "size": "1", "start": 0, "end": 1},
    ],
)
def test_other_arguments_have_no_keys(arguments: object) -> None:
    assert block_keys(arguments) == ()


def test_what_is_never_kept_has_no_key(tmp_path: Path) -> None:
    codec = ValueCodec(FileBlobStore(tmp_path))
    assert block_keys(codec.dump([block("/data/a.csv", 0), block("http://h/a.csv", 0, version="")])) == ()


def test_vast_arguments_are_given_up() -> None:
    found = block_keys([[number] for number in range(300_000)])
    assert found == ()


def test_machines_are_remembered_up_to_a_limit_and_forgotten_when_gone() -> None:
    known = Whereabouts(remembered=2)
    known.note("a", ["1", "2"])
    known.note("b", ["3"])
    assert known.prefer(["1"], {"a", "b"}) is None
    assert known.prefer(["2", "3"], {"b"}) == "b"
    known.gone("a")
    assert known.prefer(["2"], {"a"}) is None
