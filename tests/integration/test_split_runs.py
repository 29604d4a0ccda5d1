"""`split` in pipelines: compiled to a Map, run by worker processes, resumable, from S3 and the web."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto_server import Aws, unique
from range_server import RangeServer, range_server

from skylift import Block, pipeline, split, task
from skylift.testing.parity import assert_same

COUNT = """
import os
from skylift import Block, pipeline, split, task

@task
def count(block: Block) -> int:
    return sum(1 for _ in block.rows())

@pipeline
def total(urls: list[str], block: str = "16 KiB") -> int:
    return sum([count(block) for block in split(urls, block=block)])

@pipeline
def guarded(url: str) -> str:
    try:
        blocks = split(url, allow=["https://data.example.com/"])
    except ValueError as error:
        return "other"
    except Exception as error:
        return str(error)
    return str(len(blocks))
"""


@task
def rows_of(block: Block) -> int:
    return sum(1 for _ in block.rows())


@pipeline
def sizes(url: str) -> list[int]:
    blocks = split(url, block="4 KiB")
    return [rows_of(block) for block in blocks if block.end - block.start > 0]


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RangeServer]:
    monkeypatch.setenv("SKYLIFT_BLOCK_CACHE", str(tmp_path / "cache"))
    with range_server() as server:
        yield server


def table(count: int) -> bytes:
    return b"n,text\n" + b"".join(b'%d,"a\n, b"\n' % number for number in range(count))


def test_a_plain_call_and_a_compiled_one_agree(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(table(2_000))
    assert sum(assert_same(sizes, url=str(path)).value) == 2_000


def test_a_run_over_many_sources(folder: Any, web: RangeServer) -> None:
    folder.write("flow.py", COUNT)
    (folder.folder / "here.csv").write_bytes(table(3_000))
    lines = b"".join(b'{"n": %d}\n' % number for number in range(5_000))
    urls = json.dumps(["here.csv", web.put("a.csv", table(4_000)), web.put("b.jsonl", lines)])
    cache = folder.folder / "cache"
    done = folder.call("run", "flow.py:total", "--urls", urls, "--json", env={"SKYLIFT_BLOCK_CACHE": str(cache)})
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["output"] == 12_000
    log = folder.call("logs", run["run_id"], "split").stdout
    assert "here.csv: 0.0 MiB, 3 blocks" in log
    assert len(list(cache.glob("??/*"))) > 8
    assert not any("blocks/split.py" in str(path) for path in (folder.folder / ".skylift/bundles").rglob("*"))


def test_thousands_of_blocks(folder: Any) -> None:
    folder.write("flow.py", COUNT)
    (folder.folder / "a.jsonl").write_bytes(b"".join(b'{"n": %4d}\n' % number for number in range(6_000)))
    done = folder.call("run", "flow.py:total", "--urls", "a.jsonl", "--block", "36 B")
    assert (done.stdout, done.returncode) == ("6000\n", 0), done.stderr


def test_what_split_refuses_is_the_steps_error(folder: Any) -> None:
    folder.write("flow.py", COUNT)
    done = folder.call("run", "flow.py:guarded", "--url", "/etc/hostname.csv")
    assert done.returncode == 0, done.stderr
    assert "is not in https://data.example.com/" in done.stdout


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_s3(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s3fs = pytest.importorskip("s3fs", reason="needs the extra `aws`")
    from skylift.blocks.cache import machine_cache
    from skylift.blocks.errors import SourceChanged, SourceUnavailable

    monkeypatch.setenv("SKYLIFT_BLOCK_CACHE", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    s3fs.S3FileSystem.clear_instance_cache()
    bucket, s3 = unique("blocks"), aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    for key in ("in/a.csv", "in/deep/b.csv"):
        s3.put_object(Bucket=bucket, Key=key, Body=table(3_000))
    blocks = split(f"s3://{bucket}/in/**/*.csv", block="8 KiB")
    assert {block.url for block in blocks} == {f"s3://{bucket}/in/deep/b.csv", f"s3://{bucket}/in/a.csv"}
    assert [row["n"] for block in blocks for row in block.rows()] == [str(n) for n in range(3_000)] * 2
    assert {block.key for block in blocks} <= machine_cache().index()
    single = split(f"s3://{bucket}/in/a.csv", block="8 KiB", quoted_newlines=False)
    assert all(block.version.startswith("etag:") for block in single)
    s3.put_object(Bucket=bucket, Key="in/a.csv", Body=table(3_001))
    with pytest.raises(SourceChanged, match="has changed since it was split"):
        single[0].bytes()
    with pytest.raises(SourceUnavailable, match="FileNotFoundError"):
        split(f"s3://{bucket}/none.csv")
    s3fs.S3FileSystem.clear_instance_cache()
