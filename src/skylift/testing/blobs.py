"""The contract of `skylift.ports.blobs.BlobStore` as tests: subclass and supply one fixture.

    class TestMyStore(BlobStoreConformance):
        @pytest.fixture
        def blobs(self): ...

A subclass that can reach the stored bytes overrides `damage` to have detection tested too.
"""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest

from skylift.errors import BlobDamaged, BlobMissing
from skylift.ports.blobs import BlobStore

_ABSENT = hashlib.sha256(b"never stored").hexdigest()
_SIZES = (0, 1, 100, 70_000, 3_000_000)


class BlobStoreConformance:
    """Every blob store passes these."""

    def damage(self, blobs: BlobStore, digest: str) -> bool:
        """Change the stored bytes behind the store's back; False if this store's bytes cannot be reached."""
        return False

    @pytest.mark.parametrize("size", _SIZES)
    def test_gives_back_what_was_put(self, blobs: BlobStore, size: int) -> None:
        data = bytes(range(256)) * (size // 256 + 1)
        data = data[:size]
        digest = blobs.put(data)
        assert digest == hashlib.sha256(data).hexdigest()
        assert blobs.get(digest) == data
        assert blobs.size(digest) == size
        assert blobs.exists(digest)
        assert blobs.local_path(digest).read_bytes() == data
        with blobs.open(digest) as file:
            assert file.read() == data

    def test_takes_memoryviews(self, blobs: BlobStore) -> None:
        assert blobs.get(blobs.put(memoryview(b"abcdef")[2:4])) == b"cd"

    def test_takes_files(self, blobs: BlobStore, tmp_path: Path) -> None:
        path = tmp_path / "data"
        path.write_bytes(b"x" * 2_500_000)
        digest = blobs.put_file(path)
        path.write_bytes(b"changed afterwards")
        assert blobs.get(digest) == b"x" * 2_500_000
        assert blobs.put(b"x" * 2_500_000) == digest

    def test_the_same_content_is_kept_once(self, blobs: BlobStore) -> None:
        assert blobs.put(b"same") == blobs.put(b"same")
        assert list(blobs.digests()) == [hashlib.sha256(b"same").hexdigest()]

    def test_reads_in_pieces(self, blobs: BlobStore) -> None:
        data = b"0123456789" * 50_000
        with blobs.open(blobs.put(data)) as file:
            pieces = []
            while piece := file.read(7_000):
                pieces.append(piece)
        assert b"".join(pieces) == data

    def test_lists_all(self, blobs: BlobStore) -> None:
        digests = {blobs.put(b"%d" % number) for number in range(50)}
        assert set(blobs.digests()) == digests

    def test_an_empty_store_lists_nothing(self, blobs: BlobStore) -> None:
        assert list(blobs.digests()) == []

    def test_names_what_is_missing(self, blobs: BlobStore) -> None:
        assert not blobs.exists(_ABSENT)
        for read in (blobs.get, blobs.open, blobs.local_path, blobs.size):
            with pytest.raises(BlobMissing, match=_ABSENT):
                read(_ABSENT)

    @pytest.mark.parametrize("digest", ["", "abc", "../../../etc/passwd", "G" * 64, "A" * 64])
    def test_refuses_what_is_no_digest(self, blobs: BlobStore, digest: str) -> None:
        with pytest.raises(BlobMissing):
            blobs.get(digest)

    def test_deletes_and_deletes_again(self, blobs: BlobStore) -> None:
        digest = blobs.put(b"gone soon")
        blobs.delete(digest)
        blobs.delete(digest)
        assert not blobs.exists(digest)
        with pytest.raises(BlobMissing):
            blobs.get(digest)
        assert blobs.get(blobs.put(b"gone soon")) == b"gone soon"

    def test_expires_only_what_was_not_put_since(self, blobs: BlobStore) -> None:
        digest = blobs.put(b"old or new")
        now_ms = int(time.time() * 1000)
        assert not blobs.expire(digest, now_ms - 60_000)
        assert blobs.exists(digest)
        assert blobs.expire(digest, now_ms + 60_000)
        assert not blobs.exists(digest)
        assert not blobs.expire(digest, now_ms + 60_000)

    def test_damaged_bytes_are_found(self, blobs: BlobStore) -> None:
        digest = blobs.put(b"a" * 10_000)
        if not self.damage(blobs, digest):
            pytest.skip("this store's bytes cannot be reached by the test")
        with pytest.raises(BlobDamaged, match=digest):
            blobs.get(digest)
        with pytest.raises(BlobDamaged), blobs.open(digest) as file:
            while file.read(1_000):
                pass
        with pytest.raises(BlobDamaged):
            blobs.local_path(digest)

    def test_many_threads_put_and_get(self, blobs: BlobStore) -> None:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for step in range(20):
                    data = b"%d" % ((number + step) % 30)
                    assert blobs.get(blobs.put(data)) == data
            except BaseException as error:  # noqa: BLE001  shown by the test
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(list(blobs.digests())) <= 30
