"""Builds the shipped catalogue from the tables of facts: `python tools/build_catalogue.py DATA [INTO]`.

DATA is the folder with instances.csv, services.csv, aws_spot_advisor.csv and aws_reserved_2017.csv. INTO is
src/skylift/pricing/data unless given. Every row goes through the rules of `skylift.pricing.quality`: what cannot
be true is set aside with the reason. `rules.json` of each cloud is written by hand and left alone.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from catalogue_machines import machine_snapshots, machine_types
from catalogue_services import service_snapshots

from skylift.pricing.encode import encode
from skylift.pricing.snapshot import Snapshot

INTO = Path(__file__).parents[1] / "src/skylift/pricing/data"


def build(data: Path) -> Iterator[tuple[str, bytes]]:
    """Path below the catalogue's folder, and content, of every file."""
    instances = _rows(data / "instances.csv")
    types = machine_types(instances)
    machines = machine_snapshots(
        types,
        instances=instances,
        advisor=_rows(data / "aws_spot_advisor.csv"),
        reserved=_rows(data / "aws_reserved_2017.csv"),
    )
    yield from _files(machines, "machines-{0.as_of}.json")
    yield from _files(service_snapshots(_rows(data / "services.csv"), types), "services.json")


def _files(snapshots: Iterable[Snapshot], name: str) -> Iterator[tuple[str, bytes]]:
    for snapshot in snapshots:
        yield f"{snapshot.cloud}/{name.format(snapshot)}", encode(snapshot)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        sys.stderr.write(__doc__ or "")
        return 2
    into = Path(arguments[1]) if len(arguments) == 2 else INTO
    for name, content in build(Path(arguments[0])):
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sys.stdout.write(f"{len(content):9,} {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
