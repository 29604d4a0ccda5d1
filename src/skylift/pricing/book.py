"""What is known of one cloud: the rows of its snapshots, found by what they are of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Protocol, TypeVar

from skylift.pricing.rows import EVERYWHERE, Advised, MachinePrice, MachineType, Rate, Rule, SetAside
from skylift.pricing.snapshot import Snapshot, Table, advised_of, machine_of, prices_of

DEFAULT_TERM = "1yr-no-upfront"
"""Of a reserved price where nobody says how long and how it is paid: the least that one binds oneself to."""


class _Dated(Protocol):
    @property
    def as_of(self) -> str: ...


Row = TypeVar("Row", bound=_Dated)


class Book:
    """Answers of one cloud."""

    def __init__(self, cloud: str, snapshots: Sequence[Snapshot]) -> None:
        self.cloud = cloud
        self.snapshots = sorted(snapshots, key=lambda one: one.as_of)
        later = {id(one): place for place, one in enumerate(snapshots)}
        self._types: dict[str, str] = {}
        for snapshot in self.snapshots:
            self._types.update(snapshot.types)
        self._machines: dict[str, MachineType] = {}
        self._tables: dict[tuple[str, str, str | None], list[tuple[Table, Snapshot]]] = {}
        for snapshot in self.snapshots:
            for table in snapshot.tables:
                for service in table.services:
                    self._tables.setdefault((service, table.market, table.term), []).append((table, snapshot))
        for tables in self._tables.values():  # the newest first; of one date the user's own before a shipped one
            tables.sort(key=lambda one: (one[0].as_of, later[id(one[1])]), reverse=True)
        self._cells: dict[int, dict[str, dict[str, Decimal]]] = {}

    @property
    def names(self) -> Iterable[str]:
        return self._types.keys()

    def machine(self, name: str) -> MachineType | None:
        if name not in self._machines:
            if name not in self._types:
                return None
            self._machines[name] = machine_of(name, self._types[name], self.cloud)
        return self._machines[name]

    @cached_property
    def machines(self) -> dict[str, MachineType]:
        return {name: machine_of(name, text, self.cloud) for name, text in self._types.items()}

    @cached_property
    def terms(self) -> list[str]:
        return sorted({term for _, _, term in self._tables if term is not None})

    def services(self) -> list[str]:
        """That sell machines by the hour."""
        return sorted({service for service, _, _ in self._tables})

    def price(
        self, service: str, type: str, region: str, market: str, as_of: str | None, term: str | None
    ) -> MachinePrice | None:
        wanted = term or (DEFAULT_TERM if market == "reserved" else None)
        for table, snapshot in self._tables.get((service, market, wanted), ()):
            if as_of is not None and table.as_of > as_of:
                continue
            cells = self._row(table, snapshot, type)
            usd = cells.get(region) or (cells.get(EVERYWHERE) if region in self.regions else None)
            if usd is not None:
                return self._price(table, service, type, region, usd)
        return None

    def priced_regions(self, service: str, type: str, market: str, as_of: str | None = None) -> set[str]:
        """Where a machine has a price."""
        found: set[str] = set()
        for (one, way, _), tables in self._tables.items():
            if (one, way) == (service, market):
                for table, snapshot in tables:
                    if as_of is None or table.as_of <= as_of:
                        found.update(self._row(table, snapshot, type))
        return found

    def dates(self, service: str, type: str, region: str, market: str) -> list[str]:
        """Of the prices that there are of it."""
        return sorted(
            {
                table.as_of
                for (one, way, _), tables in self._tables.items()
                if (one, way) == (service, market)
                for table, snapshot in tables
                if region in self._row(table, snapshot, type)
            }
        )

    def _row(self, table: Table, snapshot: Snapshot, type: str) -> dict[str, Decimal]:
        rows = self._cells.setdefault(id(table), {})
        if type not in rows:
            rows[type] = prices_of(table.prices.get(type, ""), snapshot.regions)
        return rows[type]

    def _price(self, table: Table, service: str, type: str, region: str, usd: Decimal) -> MachinePrice:
        return MachinePrice(
            service=service,
            type=type,
            region=region,
            market=table.market,
            usd_per_hour=usd,
            as_of=table.as_of,
            source=table.source,
            cloud=self.cloud,
            term=table.term,
        )

    def estimate(self, type: str, region: str, as_of: str | None) -> MachinePrice | None:
        """Of a spot price: on-demand less the savings that the provider publishes, dated by the older of the two."""
        told = self.advised(type, region, as_of)
        full = None if told is None else self.price("batch", type, region, "on-demand", as_of, None)
        if told is None or full is None:
            return None
        return MachinePrice(
            type=type,
            region=region,
            market="spot",
            usd_per_hour=full.usd_per_hour * (100 - told.savings_pct) / 100,
            as_of=min(told.as_of, full.as_of),
            source=told.source,
            cloud=self.cloud,
            estimate=True,
            interruption=told.interruption,
            parts=(full, told),
        )

    def advised(self, type: str, region: str, as_of: str | None) -> Advised | None:
        return newest((row for row in self._advice(type) if row.region == region), as_of)

    def _advice(self, type: str) -> Iterator[Advised]:
        for snapshot in self.snapshots:
            for advice in snapshot.advice:
                yield from advised_of(type, advice.savings.get(type, ""), advice, snapshot)

    @cached_property
    def rates(self) -> dict[tuple[str, str, str, str], list[Rate]]:
        found: dict[tuple[str, str, str, str], list[Rate]] = {}
        for snapshot in self.snapshots:
            for rate in snapshot.rates:
                found.setdefault((rate.service, rate.item, rate.region, rate.market), []).append(rate)
        return found

    def tiers(self, service: str, item: str, region: str, market: str, as_of: str | None) -> tuple[Rate, ...]:
        """All of one date: the newest that has a rate of the first unit."""
        rows = self.rates.get((service, item, region, market), [])
        first = newest((row for row in rows if not row.tier_from), as_of)
        if first is None:
            known = region != EVERYWHERE and region in self.regions
            return self.tiers(service, item, EVERYWHERE, market, as_of) if known else ()
        return tuple(sorted((row for row in rows if row.as_of == first.as_of), key=lambda row: row.tier_from))

    @cached_property
    def rules(self) -> dict[str, Rule]:
        return {rule.service: rule for snapshot in self.snapshots for rule in snapshot.rules}

    @cached_property
    def regions(self) -> list[str]:
        found = {region for snapshot in self.snapshots for region in snapshot.regions}
        found |= {rate.region for snapshot in self.snapshots for rate in snapshot.rates}
        return sorted(found - {EVERYWHERE})

    def source_text(self, key: str) -> str:
        return self._sources[key]

    @cached_property
    def _sources(self) -> dict[str, str]:
        return {key: text for snapshot in self.snapshots for key, text in snapshot.sources.items()}

    @cached_property
    def set_aside(self) -> tuple[SetAside, ...]:
        return tuple(row for snapshot in self.snapshots for row in snapshot.set_aside)


def newest(rows: Sequence[Row] | Iterable[Row], as_of: str | None) -> Row | None:
    """A date that is a year or a month only counts as its first day."""
    known = [row for row in rows if as_of is None or row.as_of <= as_of]
    return max(known, key=lambda row: row.as_of, default=None)
