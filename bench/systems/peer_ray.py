"""Ray on this machine, with two worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ray
from measuring import measure, stamp
from trivial import increment, total

remote_increment = ray.remote(increment)
remote_stamp = ray.remote(stamp)


@ray.remote
def gather(*numbers: int) -> int:
    return total(list(numbers))


class Ray:
    def map(self, n: int) -> int:
        return ray.get(gather.remote(*[remote_increment.remote(x) for x in range(n)]))

    def chain(self, n: int) -> int:
        x = 0
        for _ in range(n):
            x = remote_increment.remote(x)
        return ray.get(x)

    def call(self, x: int) -> int:
        return ray.get(remote_increment.remote(x))


@contextmanager
def opened() -> Iterator[Ray]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    try:
        yield Ray()
    finally:
        ray.shutdown()


def cold() -> None:
    with opened():
        ray.get(remote_stamp.remote())


if __name__ == "__main__":
    measure(opened, cold)
