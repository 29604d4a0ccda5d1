"""What the optimizer is given: steps with priced offers, edges, limits. Plain data.

Amounts are exact micro-dollars. Times are seconds as statistics give them; the optimizer keeps them to the microsecond,
so that adding them up along a path is exact too.

**The rule of confidence.** `time_high_s` is the time that the step keeps with the asked-for probability, and a path
takes the sum of them. That is exactly the path's own quantile if steps are slow together (one slow network, one data
set that is larger than usual), and more than it where they are slow independently, for the usual shapes of durations:
they average out. So a deadline is held against the pessimistic of the two. The same holds of `cost_high` and the
budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Literal, overload

import msgspec

Objective = Literal["cost", "time"]


class Site(msgspec.Struct, frozen=True, order=True):
    """Where data can lie: what is moved within a site has no cost here."""

    cloud: str
    region: str

    def __str__(self) -> str:
        return f"{self.cloud} {self.region}"


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run a step: what is bought, and where."""

    backend: str
    service: str
    instance_type: str
    vcpus: float
    memory_mib: int
    cloud: str = "aws"
    gpu: str | None = None
    gpus: int = 0
    market: str = "on-demand"
    region: str = "local"

    @property
    def site(self) -> Site:
        return Site(self.cloud, self.region)

    @property
    def key(self) -> tuple[str, ...]:
        """Orders ways, so that a tie is always broken the same way."""
        size = f"{self.vcpus:012.4f}/{self.memory_mib:012d}"
        return (self.cloud, self.region, self.service, self.market, self.instance_type, size, self.backend)

    def __str__(self) -> str:
        gpu = f", {self.gpus} x {self.gpu}" if self.gpus else ""
        return f"{self.service} {self.instance_type}{gpu}, {self.market} in {self.cloud} {self.region} ({self.backend})"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One amount of a price, to be checked by hand."""

    what: str
    """`compute`, `start-up`, `requests`, `transfer`, `rework`, `out-of-memory`, …"""
    amount: Fraction
    formula: str
    """In words and figures: `0.0416 USD/h x 120 s`."""
    time_s: float = 0.0
    """What it adds to the time of the step, where that is told apart: of a transfer."""


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """What it is expected to cost and take to finish a step in one way."""

    offer: Way
    cost: Fraction
    """Expected, of all the step's width."""
    time_s: float
    """Expected, from when its inputs are there until its outputs are."""
    time_high_s: float | None = None
    """At the asked-for confidence; None where only the expectation is asked for."""
    cost_high: Fraction | None = None
    parts: tuple[Part, ...] = ()
    takes: Mapping[str, float] = {}
    """Of quotas by name, at once, while it runs."""


class Table:
    """Many offers of a step as columns: thousands of steps can share `ways`, and nothing is made of a row but the
    chosen one's. `self[i]` is the same as a `Priced`.

    `cost` and `cost_high` are integers of which `scale` make a micro-dollar (exact, and numpy compares them quickly).
    Columns may be numpy arrays or plain sequences. `parts(i)` itemises a row when it is asked for.
    """

    def __init__(
        self,
        ways: Sequence[Way],
        *,
        cost: Sequence[int],
        time_s: Sequence[float],
        scale: int = 1,
        cost_high: Sequence[int] | None = None,
        time_high_s: Sequence[float] | None = None,
        parts: Callable[[int], tuple[Part, ...]] | None = None,
    ) -> None:
        self.ways = ways
        self.cost = cost
        self.time_s = time_s
        self.scale = scale
        self.cost_high = cost if cost_high is None else cost_high
        self.time_high_s = time_s if time_high_s is None else time_high_s
        self._parts = parts
        for name, column in (
            ("cost", cost),
            ("time_s", time_s),
            ("cost_high", cost_high),
            ("time_high_s", time_high_s),
        ):
            if column is not None and len(column) != len(ways):
                raise ValueError(f"{name} has {len(column)} rows, there are {len(ways)} ways")

    def __len__(self) -> int:
        return len(self.ways)

    @overload
    def __getitem__(self, index: int) -> Priced: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Priced, ...]: ...

    def __getitem__(self, index: int | slice) -> Priced | tuple[Priced, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return Priced(
            offer=self.ways[index],
            cost=Fraction(int(self.cost[index]), self.scale),
            time_s=float(self.time_s[index]),
            cost_high=Fraction(int(self.cost_high[index]), self.scale),
            time_high_s=float(self.time_high_s[index]),
            parts=() if self._parts is None else self._parts(index),
        )


Offers = tuple[Priced, ...] | Table


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the graph. Its offers are priced for all its width: how many of it run at once."""

    name: str
    offers: Offers
    after: tuple[str, ...] = ()
    """Steps that have to end before it begins."""
    width: int = 1


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Taking data from one site to another."""

    cost: Fraction = Fraction(0)
    time_s: float = 0.0
    formula: str = ""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """Data that a step leaves for a later one, and what it takes to get it from where the one runs to where the other
    does. A pair of different sites that is not in `moves` takes `otherwise`; where that is None, there is no price and
    the two steps cannot be placed so. Within a site nothing is to be moved, unless `moves` says so."""

    source: str
    target: str
    moves: Mapping[tuple[Site, Site], Move] = {}
    otherwise: Move | None = None

    def move(self, source: Site, target: Site) -> Move | None:
        found = self.moves.get((source, target))
        if found is not None:
            return found
        return Move() if source == target else self.otherwise


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a plan must keep. Patterns are of the shell's kind (`eu-*`); an empty tuple allows everything."""

    deadline_s: float | None = None
    """Of the whole graph, from the start of the first step to the end of the last, at the asked-for confidence."""
    budget: Fraction | None = None
    """Micro-dollars, of all steps and moves, at the asked-for confidence."""
    confidence: float | None = None
    """With which probability each step keeps its `time_high_s` and `cost_high`; None for expectations alone."""
    regions: tuple[str, ...] = ()
    clouds: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()


Quotas = Mapping[str, float]
"""By name, how much there is at once for all steps together."""
