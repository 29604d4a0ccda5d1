"""The catalogue: what can be bought where, at which price, by which rules. Every row has its date and source.

Prices are exact decimals in US dollars. Several rows of one thing stand side by side by their dates: the newest counts,
or the newest that is not later than the date that is asked for. A price that is not there is None, never a guess. The
files of a cloud are read when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from skylift.pricing import attached, files
from skylift.pricing.book import DEFAULT_TERM, Book, newest
from skylift.pricing.find import EVERYTHING, Found, Query, ordered, rows
from skylift.pricing.names import nearest
from skylift.pricing.rows import CLOUDS, Advised, Cloud, MachinePrice, MachineType, Rate, Rule, SetAside, Size
from skylift.pricing.snapshot import Snapshot

__all__ = [
    "CLOUDS",
    "DEFAULT_REGION",
    "DEFAULT_TERM",
    "Advised",
    "Book",
    "Catalogue",
    "Cloud",
    "Found",
    "MachinePrice",
    "MachineType",
    "Query",
    "Rate",
    "Rule",
    "SetAside",
    "Size",
    "Snapshot",
    "catalogue",
    "forget",
    "newest",
]

DEFAULT_REGION = "us-east-1"
Read = Callable[[str], Sequence[Snapshot]]
"""All snapshots of a cloud."""


class Catalogue:
    """Answers from snapshots."""

    def __init__(self, read: Read, clouds: Sequence[str] = CLOUDS) -> None:
        self.clouds = tuple(clouds)
        self._read = read
        self._books: dict[str, Book] = {}
        self._machines: dict[str, dict[str, MachineType]] = {}

    @classmethod
    def of(cls, *snapshots: Snapshot) -> Catalogue:
        """One that holds nothing else."""
        return cls(lambda cloud: [one for one in snapshots if one.cloud == cloud])

    def book(self, cloud: str) -> Book:
        """All that is known of a cloud; nothing is known of one that has no file."""
        if cloud not in self._books:
            self._books[cloud] = Book(cloud, self._read(cloud))
        return self._books[cloud]

    def machines(self, cloud: str = "aws") -> Mapping[str, MachineType]:
        """All of a cloud, by name; with pairs of a host and GPUs that can be added to it."""
        if cloud not in self._machines:
            book = self.book(cloud)
            self._machines[cloud] = book.machines | {pair.name: pair for pair in attached.pairs(book)}
        return self._machines[cloud]

    @property
    def types(self) -> Mapping[str, MachineType]:
        return self.machines("aws")

    @property
    def rules(self) -> Mapping[str, Rule]:
        return self.rules_of("aws")

    def rules_of(self, cloud: str) -> Mapping[str, Rule]:
        return self.book(cloud).rules

    def machine(self, type: str, cloud: str = "aws") -> MachineType | None:
        book = self.book(cloud)
        return book.machine(type) or attached.machine(type, book)

    def machine_price(
        self,
        service: str,
        type: str,
        region: str,
        market: str,
        as_of: str | None = None,
        cloud: str = "aws",
        term: str | None = None,
    ) -> MachinePrice | None:
        """What was paid, as a source tells it: estimates of spot prices are `spot_estimate`. `term` is of a reserved
        price, `DEFAULT_TERM` unless given."""
        book = self.book(cloud)
        found = book.price(service, type, region, market, as_of, term)
        return found or attached.price(book, service, type, region, market, as_of)

    def spot_estimate(
        self, type: str, region: str, as_of: str | None = None, cloud: str = "aws"
    ) -> MachinePrice | None:
        """On-demand times (1 - the savings that the provider publishes), dated by the older of the two."""
        return self.book(cloud).estimate(type, region, as_of)

    def find(self, query: Query = EVERYTHING) -> list[Found]:
        """Machines that have what is asked for and have a price, in the order of the query."""
        clouds = self.clouds if query.cloud is None else (query.cloud,)
        return ordered([row for cloud in clouds for row in rows(self.book(cloud), query)], query)

    def advised(self, type: str, region: str, as_of: str | None = None, cloud: str = "aws") -> Advised | None:
        """What the provider says of the spot market of a machine."""
        return self.book(cloud).advised(type, region, as_of)

    def reserved(
        self, type: str, region: str, as_of: str | None = None, cloud: str = "aws"
    ) -> tuple[MachinePrice, ...]:
        """The newest of every term, the cheapest first."""
        book = self.book(cloud)
        found = (book.price("batch", type, region, "reserved", as_of, term) for term in book.terms)
        return tuple(sorted((one for one in found if one is not None), key=lambda one: one.usd_per_hour))

    def rate(
        self,
        service: str,
        item: str,
        region: str,
        market: str = "on-demand",
        as_of: str | None = None,
        cloud: str = "aws",
    ) -> Rate | None:
        """That of the first unit; for others see `tiers`."""
        return next(iter(self.tiers(service, item, region, cloud, market, as_of)), None)

    def tiers(
        self,
        service: str,
        item: str,
        region: str,
        cloud: str = "aws",
        market: str = "on-demand",
        as_of: str | None = None,
    ) -> tuple[Rate, ...]:
        """Rates by the amount from which they count; where the region has none of its own, those of every region."""
        return self.book(cloud).tiers(service, item, region, market, as_of)

    def items(self, service: str, cloud: str = "aws") -> list[str]:
        """What of a service has rates."""
        return sorted({item for one, item, *_ in self.book(cloud).rates if one == service})

    def source(self, row: MachinePrice | Rate | Rule | Advised | SetAside) -> str:
        """Where a row is from, for people."""
        return f"{self.book(row.cloud).source_text(row.source)} ({row.as_of})"

    def sources_of(self, row: MachinePrice) -> list[str]:
        """Where a machine's price is from, for people: of what is made of several rows that of each."""
        return list(dict.fromkeys(self.source(one) for one in row.parts or (row,)))

    def regions(self, cloud: str = "aws") -> list[str]:
        return self.book(cloud).regions

    def set_aside(self, cloud: str = "aws") -> tuple[SetAside, ...]:
        """Prices of the sources that cannot be true, with the reasons."""
        return self.book(cloud).set_aside

    def nearest_type(self, name: str, cloud: str | None = None) -> list[str]:
        """Names that somebody may have meant, the likeliest first."""
        clouds = self.clouds if cloud is None else (cloud,)
        return nearest(name, [known for one in clouds for known in self.book(one).names])


def catalogue(home: Path | None = None) -> Catalogue:
    """The one that is shipped, and beside it what `skylift prices update` has put into the user's home."""
    return _catalogue(home or files.user_home())


@cache
def _catalogue(home: Path) -> Catalogue:
    return Catalogue(lambda cloud: files.snapshots(cloud, home))


def forget() -> None:
    """What was read is read anew: the home has newer prices."""
    _catalogue.cache_clear()
