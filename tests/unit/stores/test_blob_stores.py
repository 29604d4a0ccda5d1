from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from pathlib import Path

import pytest

from skylift.errors import BlobUnavailable, SetupError
from skylift.ports.blobs import BlobStore
from skylift.stores import files
from skylift.stores.files import FileBlobStore
from skylift.stores.open import open_blobs
from skylift.testing.blobs import BlobStoreConformance


class TestFileBlobStore(BlobStoreConformance):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> FileBlobStore:
        return FileBlobStore(tmp_path / "blobs")

    def damage(self, blobs: BlobStore, digest: str) -> bool:
        path = blobs.local_path(digest)
        os.utime(path, (1, 1))
        path.write_bytes(b"b" * 10_000)
        return True


class TestFileBlobStoreFull(BlobStoreConformance):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return open_blobs(f"file://{tmp_path}/blobs?durability=full")


class TestFsspecMemory(BlobStoreConformance):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return open_blobs(f"memory://{uuid.uuid4()}/blobs", cache=str(tmp_path / "cache"))

    def damage(self, blobs: BlobStore, digest: str) -> bool:
        blobs._fs.pipe_file(f"{blobs._root}/{digest[:2]}/{digest}", b"b" * 10_000)  # type: ignore[attr-defined]
        return True


class TestFsspecLocal(BlobStoreConformance):
    """A file system whose uploads are not atomic: written beside and renamed."""

    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return open_blobs(f"local://{tmp_path}/blobs", cache=str(tmp_path / "cache"))


def test_a_store_opens_again_by_its_url(tmp_path: Path) -> None:
    for blobs in (FileBlobStore(tmp_path / "a b"), FileBlobStore(tmp_path / "c", fsync=True)):
        again = open_blobs(blobs.url)
        assert isinstance(again, FileBlobStore)
        assert again.fsync == blobs.fsync
        assert again.get(blobs.put(b"x")) == b"x"


def test_an_unknown_protocol_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="nosuch") as caught:
        open_blobs("nosuch://bucket", cache=str(tmp_path))
    assert caught.value.hint


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = FileBlobStore(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_write_all", full)
    with pytest.raises(BlobUnavailable, match="No space") as caught:
        blobs.put(b"x" * 100)
    assert "gc" in (caught.value.hint or "")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert list(blobs.digests()) == []


def test_a_truncated_file_is_mended_by_the_next_put(tmp_path: Path) -> None:
    """After a power loss in normal mode a renamed file may be empty."""
    blobs = FileBlobStore(tmp_path)
    digest = blobs.put(b"content")
    Path(blobs._place(digest)).write_bytes(b"")
    assert blobs.put(b"content") == digest
    assert blobs.get(digest) == b"content"


def test_putting_again_renews_the_age(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path)
    digest = blobs.put(b"content")
    os.utime(blobs._place(digest), (1, 1))
    blobs.put(b"content")
    assert not blobs.expire(digest, int(time.time() * 1000) - 60_000)
    os.utime(blobs._place(digest), (1, 1))
    assert blobs.expire(digest, int(time.time() * 1000) - 60_000)


def test_expire_puts_back_what_a_writer_renews_at_the_last_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = FileBlobStore(tmp_path)
    digest = blobs.put(b"content")
    os.utime(blobs._place(digest), (1, 1))
    real = os.rename

    def renewing(source: str, target: str) -> None:
        monkeypatch.setattr(os, "rename", real)
        os.utime(source)
        real(source, target)

    monkeypatch.setattr(os, "rename", renewing)
    assert not blobs.expire(digest, int(time.time() * 1000) - 60_000)
    assert blobs.get(digest) == b"content"


def test_half_written_files_of_dead_writers_are_swept(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path)
    blobs.put(b"x")
    old, young = tmp_path / "tmp" / "old", tmp_path / "tmp" / "young"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert blobs.sweep() == 1
    assert not old.exists()
    assert young.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(BlobUnavailable):
        FileBlobStore(tmp_path / "blobs").put(b"x")
