"""How long the catalogue takes to be read and searched, in a process that has done neither."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from measuring import tell

FRESH = """
import time, typing, msgspec, skylift, skylift.config, skylift.ports.compute  # what every command has anyway
began = time.perf_counter()
from skylift.pricing.catalogue import Query, catalogue
found = catalogue().find(Query(gpu="V100", memory_mib=16384, region="us-*", spot=True))
took = time.perf_counter() - began
assert len(found) > 50, found
print(took)
"""


def main() -> None:
    work, _, size = sys.argv[1].partition("=")
    tell(work, int(size), median(_fresh() for _ in range(int(size))) * 1_000)


def _fresh() -> float:
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
