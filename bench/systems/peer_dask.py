"""Dask distributed: a scheduler and two worker processes on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster
from measuring import measure, stamp
from trivial import increment, total


class Dask:
    def __init__(self, client: Client) -> None:
        self._client = client

    def map(self, n: int) -> int:
        futures = self._client.map(increment, range(n), pure=False)
        return self._client.submit(total, futures, pure=False).result()

    def chain(self, n: int) -> int:
        x = 0
        for _ in range(n):
            x = self._client.submit(increment, x, pure=False)
        return x.result()

    def call(self, x: int) -> int:
        return self._client.submit(increment, x, pure=False).result()


@contextmanager
def opened() -> Iterator[Dask]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2)
        yield Dask(client)


def cold() -> None:
    with opened() as dask:
        dask._client.submit(stamp).result()


if __name__ == "__main__":
    measure(opened, cold)
