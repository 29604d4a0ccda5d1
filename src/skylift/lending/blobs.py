"""Where the attempts of a worker find artifacts and code: on the server that gave the task."""

from __future__ import annotations

from pathlib import Path

from skylift.compute.worker import current
from skylift.ports.blobs import BlobStore
from skylift.remote.blobs import RemoteBlobs
from skylift.remote.client import ServerClient
from skylift.remote.keys import signer_of
from skylift.remote.recent import RecentRuns

FACTORY = "skylift.lending.blobs:open_server_blobs"


def location(url: str, cache: Path) -> str:
    """For `open_server_blobs`. `cache` is a folder of this machine that keeps what was fetched."""
    return f"{url}#{cache}"


def open_server_blobs(location: str) -> BlobStore:
    """Signed with the key in the environment, as the worker itself is."""
    url, _, cache = location.partition("#")
    store: BlobStore = RemoteBlobs(ServerClient(url, signer_of()), _RunOfTheAttempt(), Path(cache))
    return store


class _RunOfTheAttempt(RecentRuns):
    """A server shows an account what its runs refer to, if it is told which run."""

    def hint(self, document: str | None = None) -> str | None:
        now = current.attempt()
        return None if now is None else now.run_id
