"""From rows to a snapshot, each row checked: what builds the shipped catalogue and what `prices update` writes with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from hashlib import sha256

import msgspec

from skylift.ports.compute import Market
from skylift.pricing.rows import Advised, MachinePrice, MachineType, Rate, SetAside
from skylift.pricing.snapshot import Advice, Snapshot, Table, plain, price_text, text_of

_Key = tuple[str, Market, str | None, str, str]
"""Of a table: service, market, term, date, source."""


class Draft:
    """Collects rows of one cloud, and describes the machines that have a price in them."""

    def __init__(self, cloud: str, known: Mapping[str, MachineType]) -> None:
        self.cloud = cloud
        self._known = known
        self.prices: dict[_Key, dict[tuple[str, str], Decimal]] = defaultdict(dict)
        self.rates: list[Rate] = []
        self.advice: list[Advised] = []
        self.aside: list[SetAside] = []

    def price(self, row: MachinePrice) -> None:
        """Given again it must be the same price."""
        key = (row.service, row.market, row.term, row.as_of, row.source)
        there = self.prices[key].setdefault((row.type, row.region), row.usd_per_hour)
        if there != row.usd_per_hour:
            raise ValueError(f"two prices of {key} {row.type} in {row.region}: {there} and {row.usd_per_hour}")

    def rate(self, row: Rate) -> None:
        self.rates.append(msgspec.structs.replace(row, usd=Decimal(plain(row.usd))))

    def advised(self, row: Advised) -> None:
        self.advice.append(row)

    def set_aside(self, row: SetAside) -> None:
        self.aside.append(msgspec.structs.replace(row, usd=Decimal(plain(row.usd))))

    def snapshot(self) -> Snapshot:
        rows: list[Rate | Advised | SetAside] = [*self.rates, *self.advice, *self.aside]
        sources = _keys({key[4] for key in self.prices} | {row.source for row in rows})
        regions = tuple(sorted({place for _, place in self._cells()} | {row.region for row in self.advice}))
        return Snapshot(
            cloud=self.cloud,
            as_of=max([*(key[3] for key in self.prices), *(row.as_of for row in rows)]),
            sources={key: text for text, key in sorted(sources.items())},
            regions=regions,
            types={name: text_of(self._known[name]) for name in sorted({name for name, _ in self._cells()})},
            tables=tuple(
                Table(
                    services=(service,),
                    market=market,
                    term=term,
                    as_of=as_of,
                    source=sources[source],
                    prices=_texts(cells, regions),
                )
                for (service, market, term, as_of, source), cells in sorted(self.prices.items(), key=repr)
            ),
            advice=_advice(self.advice, sources, regions),
            rates=tuple(msgspec.structs.replace(row, source=sources[row.source]) for row in self.rates),
            set_aside=tuple(msgspec.structs.replace(row, source=sources[row.source]) for row in self.aside),
        )

    def _cells(self) -> Iterator[tuple[str, str]]:
        """Type and region of every price."""
        return (cell for cells in self.prices.values() for cell in cells)


def _keys(sources: set[str]) -> dict[str, str]:
    """The same text has the same key in every file."""
    return {text: sha256(text.encode()).hexdigest()[:8] for text in sources}


def _texts(cells: dict[tuple[str, str], Decimal], regions: tuple[str, ...]) -> dict[str, str]:
    rows: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for (name, region), usd in cells.items():
        rows[name][region] = usd
    return {name: price_text(rows[name], regions) for name in sorted(rows)}


def _advice(rows: list[Advised], sources: dict[str, str], regions: tuple[str, ...]) -> tuple[Advice, ...]:
    buckets = tuple(sorted({row.interruption for row in rows}))
    savings: dict[tuple[str, str], dict[str, list[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        cell = (regions.index(row.region), row.savings_pct, buckets.index(row.interruption))
        savings[row.as_of, row.source][row.type].append(cell)
    return tuple(
        Advice(
            as_of=as_of,
            source=sources[source],
            buckets=buckets,
            savings={name: " ".join(f"{a} {b} {c}" for a, b, c in sorted(cells[name])) for name in sorted(cells)},
        )
        for (as_of, source), cells in sorted(savings.items())
    )


def encode(snapshot: Snapshot) -> bytes:
    """One line a machine, so that two versions of a file can be compared."""
    return msgspec.json.format(msgspec.json.encode(snapshot), indent=1) + b"\n"
