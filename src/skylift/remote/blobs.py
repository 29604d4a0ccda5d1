"""A server's artifacts. Every blob is checked against its digest when it arrives."""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from skylift.errors import BlobMissing
from skylift.remote.client import CHUNK, ServerClient
from skylift.remote.problems import OnServerOnly
from skylift.remote.recent import RecentRuns
from skylift.stores.files import FileBlobStore, damaged, missing

PUT_S = 600.0
"""How long a blob that was put counts as there; then it is put again, which renews it for artifact collection."""
LARGE = 64 * 1024
"""From this size on the server is asked first whether it has the blob."""


class RemoteBlobs:
    """The BlobStore port over `/v1/blobs`. What was fetched once as a file stays in `cache`."""

    def __init__(self, client: ServerClient, recent: RecentRuns, cache: Path) -> None:
        self._client = client
        self._recent = recent
        self._cache = FileBlobStore(cache)
        self._put: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"{self._client.url}/v1/blobs"

    def put(self, data: bytes | memoryview) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self._send(digest, io.BytesIO(data), data.nbytes if isinstance(data, memoryview) else len(data))
        return digest

    def put_file(self, path: Path) -> str:
        """Content is copied first: the file may change meanwhile."""
        with path.open("rb") as source, tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(source, copy, CHUNK)
            size = copy.tell()
            copy.seek(0)
            digest = hashlib.file_digest(copy, "sha256").hexdigest()
            self._send(digest, copy, size)
        return digest

    def get(self, digest: str) -> bytes:
        with io.BytesIO() as sink:
            self._fetch(digest, sink)
            return sink.getvalue()

    def open(self, digest: str) -> BinaryIO:
        return self.local_path(digest).open("rb")

    def local_path(self, digest: str) -> Path:
        if not self._cache.exists(digest):
            with tempfile.NamedTemporaryFile() as sink:
                self._fetch(digest, sink)
                sink.flush()
                self._cache.put_file(Path(sink.name))
        return self._cache.local_path(digest)

    def exists(self, digest: str) -> bool:
        try:
            self.size(digest)
        except BlobMissing:
            return False
        return True

    def size(self, digest: str) -> int:
        query = {"runs": self._recent.hint()}
        answer = self._client.request("HEAD", f"/v1/blobs/{digest}", query=query, accept=(404,))
        if answer.status == 404:
            raise missing(digest, self._client.url)
        return int(answer.headers["content-length"])

    def delete(self, digest: str) -> None:
        raise OnServerOnly("artifacts of a server are not deleted from here")

    def expire(self, digest: str, before_ms: int) -> bool:
        raise OnServerOnly("artifacts of a server are not deleted from here")

    def digests(self) -> Iterator[str]:
        raise OnServerOnly("a server does not list its artifacts")

    def _send(self, digest: str, source: IO[bytes], size: int) -> None:
        with self._lock:
            if time.monotonic() - self._put.get(digest, -PUT_S) < PUT_S:
                return
        if size < LARGE or not self.exists(digest):
            self._client.upload(f"/v1/blobs/{digest}", source, size, digest)
        with self._lock:
            self._put[digest] = time.monotonic()

    def _fetch(self, digest: str, sink: IO[bytes]) -> None:
        self._client.download(f"/v1/blobs/{digest}", {"runs": self._recent.hint()}, sink)
        sink.seek(0)
        hasher = hashlib.sha256()
        while chunk := sink.read(CHUNK):
            hasher.update(chunk)
        if hasher.hexdigest() != digest:
            raise damaged(digest, f"what {self._client.url} sent")
