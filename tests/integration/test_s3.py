"""S3, spoken to a server of this machine: artifacts, ItemReader and ResultWriter."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port

from skylift.asl.commands import ReadItems, WriteResults
from skylift.engine.item_reader import ReaderFailed, read_page
from skylift.engine.result_writer import WriterFailed, write_results
from skylift.ports.blobs import BlobStore
from skylift.stores.open import open_blobs
from skylift.testing.blobs import BlobStoreConformance

s3fs = pytest.importorskip("s3fs", reason="needs the extra `aws`")
pytest.importorskip("moto.server", reason="needs moto's server; `make setup` installs it")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    names = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
    }
    before = {name: os.environ.get(name) for name in names}
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(url, process)
        os.environ.update(names)
        s3fs.S3FileSystem.clear_instance_cache()  # one that an earlier test made has no keys
        yield
    finally:
        process.kill()
        process.wait()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
        s3fs.S3FileSystem.clear_instance_cache()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{url}/moto-api/", timeout=10).close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.skip("moto's server does not start here")


@pytest.fixture
def bucket() -> str:
    name = f"b-{uuid.uuid4()}"
    s3fs.S3FileSystem().mkdir(name)
    return name


def put(bucket: str, key: str, data: bytes) -> None:
    s3fs.S3FileSystem().pipe_file(f"{bucket}/{key}", data)


def read_all(bucket: str, config: dict[str, Any], resource: str = "getObject", **arguments: str) -> list[Any]:
    items, cursor = [], None
    while True:
        page, cursor = read_page(
            ReadItems(
                reader=1,
                resource=f"arn:aws:states:::s3:{resource}",
                arguments={"Bucket": bucket, **arguments},
                config=config,
                limit=2,
                cursor=cursor,
            )
        )
        items += page
        if cursor is None:
            return items


def test_the_item_reader_reads_objects_by_page(bucket: str) -> None:
    put(bucket, "in/a.jsonl.gz", gzip.compress(b'{"n": 1}\n{"n": 2}\n{"n": 3}\n'))
    assert read_all(bucket, {"InputType": "JSONL"}, Key="in/a.jsonl.gz") == [{"n": 1}, {"n": 2}, {"n": 3}]
    put(bucket, "in/b.csv", b"x,y\n1,2\n")
    config = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
    assert read_all(bucket, config, Key="in/b.csv") == [{"x": "1", "y": "2"}]
    assert read_all(f"s3://{bucket}", config, Key="in/b.csv") == [{"x": "1", "y": "2"}]


def test_the_item_reader_lists_objects(bucket: str) -> None:
    for name in ("in/b", "in/a", "in/deep/c", "other"):
        put(bucket, name, b"12345")
    listed = read_all(bucket, {}, "listObjectsV2", Prefix="in/")
    assert [item["Key"] for item in listed] == ["in/a", "in/b", "in/deep/c"]
    assert {(item["Size"], item["StorageClass"]) for item in listed} == {(5, "STANDARD")}
    assert all(item["Etag"] and item["LastModified"] > 1_600_000_000 for item in listed)


def test_an_athena_manifest_names_objects_anywhere(bucket: str) -> None:
    put(bucket, "out/part-1", b'{"n": 1}\n')
    put(bucket, "out/part-2", b'{"n": 2}\n')
    put(bucket, "out/manifest.csv", f"s3://{bucket}/out/part-1\ns3://{bucket}/out/part-2\n".encode())
    config = {"InputType": "JSONL", "ManifestType": "ATHENA_DATA"}
    assert read_all(bucket, config, Key="out/manifest.csv") == [{"n": 1}, {"n": 2}]


def test_what_is_missing_is_named(bucket: str) -> None:
    with pytest.raises(ReaderFailed, match="The specified key does not exist"):
        read_all(bucket, {"InputType": "JSON"}, Key="gone")
    with pytest.raises(ReaderFailed):
        read_all("no-such-bucket-at-all", {"InputType": "JSON"}, Key="gone")


def written(bucket: str, number: int, *, last: bool) -> dict[str, Any]:
    record = {"ExecutionArn": "a", "Input": number, "Name": "n", "Status": "SUCCEEDED", "Output": number}
    return write_results(
        WriteResults(
            writer=1,
            resource="arn:aws:states:::s3:putObject",
            arguments={"Bucket": bucket, "Prefix": "out"},
            config={},
            map_run="arn:aws:states:local:0:mapRun:p/label:run-7",
            results=[record],
            part=number,
            last=last,
        )
    )


def test_the_result_writer_writes_parts_and_a_manifest(bucket: str) -> None:
    written(bucket, 0, last=False)
    details = written(bucket, 1, last=True)
    assert details == {"Bucket": bucket, "Key": "out/run-7/manifest.json"}
    manifest = json.loads(s3fs.S3FileSystem().cat_file(f"{bucket}/out/run-7/manifest.json"))
    keys = [file["Key"] for file in manifest["ResultFiles"]["SUCCEEDED"]]
    assert keys == ["out/run-7/SUCCEEDED_0.json", "out/run-7/SUCCEEDED_1.json"]
    with pytest.raises(WriterFailed, match="cannot be written"):
        written("no-such-bucket-at-all", 0, last=True)


class TestArtifactsInS3(BlobStoreConformance):
    @pytest.fixture
    def blobs(self, bucket: str, tmp_path: Path) -> BlobStore:
        return open_blobs(f"s3://{bucket}/blobs", cache=str(tmp_path / "cache"))

    def damage(self, blobs: BlobStore, digest: str) -> bool:
        blobs._fs.pipe_file(f"{blobs._root}/{digest[:2]}/{digest}", b"b" * 10_000)  # type: ignore[attr-defined]
        return True
