"""Peak memory of the engine's process while it drives one very wide map."""

from __future__ import annotations

import resource
import sys

import ours_flow
from measuring import check, tell


def main() -> None:
    work, _, size = sys.argv[1].partition("=")
    n = int(size)
    check(ours_flow.fan.run(n=n), n * (n + 1) // 2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tell(work, n, peak / (2**20 if sys.platform == "darwin" else 2**10))


if __name__ == "__main__":
    main()
