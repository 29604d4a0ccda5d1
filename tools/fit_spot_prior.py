"""Fits what Skylift's spot policy believes of markets before it sees one, and writes it as the parameters it ships.

python tools/fit_spot_prior.py ../shared/data/spot_traces.json [--match SUBSTRING] [--out FILE]

The traces have no licence and stay where they are; what is written are rates by age, from which none can be made again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from skylift.pricing.spot.fitting import fit
from skylift.pricing.spot.market import SHIPPED, Prior
from skylift.pricing.spot.selection import select_traces

DIGITS = 3


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("traces", type=Path, help="file or folder of traces")
    parser.add_argument("--match", default="availability/aws-10-26-2022/", help="only traces with this in their name")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where to write")
    options = parser.parse_args(arguments)
    traces = select_traces(options.traces, options.match).traces
    prior = fit(traces, source=f"{len(traces)} traces of {options.match.strip('/')}, tools/fit_spot_prior.py")
    options.out.write_text(as_json(prior))
    sys.stdout.write(f"{options.out}: {len(prior.kinds)} kinds of market\n")
    return 0


def as_json(prior: Prior) -> str:
    return json.dumps(_rounded(msgspec.to_builtins(prior)), indent=1) + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
