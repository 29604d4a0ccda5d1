"""Checkpoints in S3 (a server of this machine) and other file systems that are no disks."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from moto_server import ENVIRONMENT, Aws, unique

from skylift.compute.worker.checkpoint.files import open_files, remove_folder
from skylift.compute.worker.checkpoint.layout import Snapshots, state_of
from skylift.compute.worker.checkpoint.place import beside, folder_of
from skylift.compute.worker.checkpoint.versions import claim, forget, newest, saved_ms, versions
from skylift.errors import BlobUnavailable

pytest.importorskip("s3fs", reason="needs the extra `aws`")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def bucket(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import s3fs

    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": aws.url}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = unique("checkpoints")
    aws.client("s3").create_bucket(Bucket=name)
    yield f"s3://{name}/project"
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(params=["s3", "memory"])
def location(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return beside(f"memory://{uuid.uuid4().hex}/blobs")
    return beside(request.getfixturevalue("bucket"))


def test_versions_are_kept_and_found_again(location: str) -> None:
    folder = folder_of(location, "run", "3-1")
    files = open_files(folder)
    assert newest(files) is None
    writer = claim(files, attempt=1, delivery=1, keep=2)
    snapshots = Snapshots()
    for number in range(4):
        snapshot = snapshots.take({"number": number, "bytes": os.urandom(300_000)})
        assert writer.write(snapshot.chunks(), number * 100.0) is not None
    again = open_files(folder)
    assert len(list(versions(again))) == 2
    found = newest(again)
    assert found is not None
    assert state_of(found[1])["number"] == 3
    assert saved_ms(location, "run", "3-1") == 300.0
    assert len(again.names()) == 5


def test_a_torn_upload_is_passed_over(location: str) -> None:
    files = open_files(folder_of(location, "run", "1-1"))
    writer = claim(files, attempt=1, delivery=1, keep=2)
    snapshots = Snapshots()
    for number in range(2):
        writer.write(snapshots.take(number).chunks(), 0.0)
    last = next(versions(files))
    files.publish(last.manifest.data, b"torn")
    found = newest(files)
    assert found is not None
    assert state_of(found[1]) == 0


def test_a_runs_checkpoints_are_forgotten_together(location: str) -> None:
    for visit in ("1-1", "2-1"):
        files = open_files(folder_of(location, "run", visit))
        claim(files, attempt=1, delivery=1, keep=2).write(Snapshots().take(1).chunks(), 0.0)
    kept = open_files(folder_of(location, "other", "1-1"))
    claim(kept, attempt=1, delivery=1, keep=2)
    assert forget(location, "run")
    assert not forget(location, "run")
    assert saved_ms(location, "run", "1-1") is None
    assert kept.names()


def test_a_bucket_that_is_not_there_says_so(bucket: str) -> None:
    files = open_files(f"s3://{unique('nowhere')}/checkpoints/r/1-1")
    with pytest.raises(BlobUnavailable, match="cannot be used"):
        claim(files, attempt=1, delivery=1, keep=2)


def test_removing_what_is_not_there_is_no_error(bucket: str) -> None:
    assert remove_folder(f"{bucket}/checkpoints/never") is False
