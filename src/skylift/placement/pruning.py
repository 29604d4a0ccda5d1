"""Which offers of a step can be part of a best plan: those that no other one beats in cost and time at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from skylift.errors import AuthorError
from skylift.placement.limits import FACETS, allowed, facets_of, kept_by
from skylift.placement.model import Limits, Priced, Site, Step, Table, Way

if TYPE_CHECKING:
    from collections.abc import Iterable

MICRO_S = 1_000_000
CLOSE = 1e-9
"""Amounts that are nearer to each other than that share are compared exactly."""
FARTHER = 1 + CLOSE
COMPROMISES: tuple[Callable[[Any, Any], Any], ...] = (
    lambda cost, time: cost * time,
    lambda cost, time: cost * time * time,
    lambda cost, time: cost * cost * time,
)
"""The least of each of these is a good offer: it beats many."""


class Survivor(NamedTuple):
    row: int
    cost: Fraction
    high: Fraction
    time: int
    """Microseconds, at the asked-for confidence."""
    site: Site


def survivors(step: Step, limits: Limits, *, by_site: bool, with_high: bool, by_takes: bool = False) -> list[Survivor]:
    """The cheapest first. With `by_site` those of each site, for what an edge costs depends on it; with `with_high`
    what is dearer but surer counts too; with `by_takes` what takes less of a quota."""
    if not len(step.offers):
        raise AuthorError(f"step {step.name} has no offers: nothing can run it")
    if isinstance(step.offers, Table):
        found = _of_table(step, step.offers, limits, by_site, with_high)
        if not (by_site or with_high):
            return found
        ways = {one.row: step.offers.ways[one.row] for one in found}
    else:
        found = _of_rows(step, step.offers, limits, by_site, with_high, by_takes)
        ways = {one.row: step.offers[one.row].offer for one in found}
    groups: dict[Hashable, list[Survivor]] = {}
    for one in found:
        takes = _takes(step.offers[one.row]) if by_takes else ()
        groups.setdefault((one.site if by_site else None, takes), []).append(one)
    kept = [one for group in groups.values() for one in unbeaten(group, with_high)]
    return sorted(kept, key=lambda one: (*one[1:4], ways[one.row].key, one.row))


def unbeaten(group: Iterable[Survivor], with_high: bool) -> list[Survivor]:
    """Of rows that are equal in everything, the first."""
    kept: list[Survivor] = []
    least: list[tuple[Fraction, int]] = []
    quickest: int | None = None
    for one in sorted(group, key=lambda row: (row.cost, row.time, row.high, row.row)):
        if not with_high:
            if quickest is None or one.time < quickest:
                quickest = one.time
                kept.append(one)
        elif not any(high <= one.high and time <= one.time for high, time in least):
            least.append((one.high, one.time))
            kept.append(one)
    return kept


def _takes(priced: Priced) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(priced.takes.items()))


def _of_rows(
    step: Step, offers: Sequence[Priced], limits: Limits, by_site: bool, with_high: bool, by_takes: bool = False
) -> list[Survivor]:
    """Roughly pruned: floating-point numbers drop what is clearly beaten, the rest is for exact ones."""
    sure = limits.confidence is not None
    asked = facets_of(limits)
    groups: dict[Hashable, list[tuple[float, float, float, int]]] = {}
    for row, priced in enumerate(offers):
        cost, time = float(priced.cost), priced.time_s
        high = cost if priced.cost_high is None else float(priced.cost_high)
        longer = time if priced.time_high_s is None else priced.time_high_s
        if cost < 0 or high < 0 or not (0 <= time < math.inf and 0 <= longer < math.inf):
            raise _wrong(step, row, priced)
        if asked and not kept_by(priced.offer, asked):
            continue
        one = (cost, max(time, longer), max(cost, high), row) if sure else (cost, time, cost, row)
        key = (priced.offer.site if by_site else None, _takes(priced) if by_takes else ())
        groups.setdefault(key, []).append(one)
    clear = _clearly_surer if with_high else _clearly
    return [_exact(row, offers[row], sure) for rows in groups.values() for row in clear(rows)]


def _wrong(step: Step, row: int, priced: Priced) -> AuthorError:
    what = f"offer {row} of step {step.name} ({priced.offer})"
    if priced.cost < 0 or (priced.cost_high is not None and priced.cost_high < 0):
        return AuthorError(f"{what} costs less than nothing", hint="costs are micro-dollars of 0 or more")
    times = [priced.time_s] if priced.time_high_s is None else [priced.time_s, priced.time_high_s]
    wrong = next(time for time in times if not 0 <= time < math.inf)
    return AuthorError(f"{what} takes {wrong:g} s", hint="times are seconds of 0 or more")


def _clearly(rows: list[tuple[float, float, float, int]]) -> list[int]:
    """Those that none is as quick as and clearly cheaper."""
    kept: list[int] = []
    least, quickest = -1.0, math.inf
    for cost, time, _, row in sorted(rows):
        if time < quickest:
            least, quickest = cost, time
        elif not math.isclose(cost, least, rel_tol=CLOSE):
            continue
        kept.append(row)
    return kept


def _clearly_surer(rows: list[tuple[float, float, float, int]]) -> list[int]:
    kept: list[int] = []
    best: list[tuple[float, float, float]] = []
    for cost, time, high, row in sorted(rows):
        if any(c * FARTHER < cost and t <= time and h * FARTHER < high for c, t, h in best):
            continue
        best.append((cost, time, high))
        kept.append(row)
    return kept


def _exact(row: int, priced: Priced, sure: bool) -> Survivor:
    cost, time = Fraction(priced.cost), priced.time_s
    high = cost
    if sure:
        time = time if priced.time_high_s is None else max(time, priced.time_high_s)
        high = cost if priced.cost_high is None else max(cost, Fraction(priced.cost_high))
    return Survivor(row, cost, high, round(time * MICRO_S), priced.offer.site)


def _of_table(step: Step, table: Table, limits: Limits, by_site: bool, with_high: bool) -> list[Survivor]:
    """Whole columns at a time, down to a few rows that are then looked at exactly."""
    try:
        import numpy as np
    except ImportError:
        return _of_rows(step, table[:], limits, by_site, with_high)
    cost, time = np.asarray(table.cost), np.asarray(table.time_s, dtype=np.float64)
    high = cost
    if limits.confidence is not None:
        time = np.maximum(time, np.asarray(table.time_high_s, dtype=np.float64))
        high = np.maximum(cost, np.asarray(table.cost_high))
    if cost.dtype.kind not in "iu":
        raise AuthorError(f"the costs of step {step.name} are no whole numbers ({cost.dtype}); say their scale")
    if cost.min() < 0 or not (time.min() >= 0 and time.max() < math.inf):
        row = int(np.flatnonzero((cost < 0) | ~((time >= 0) & (time < math.inf)))[0])
        raise _wrong(step, row, table[row])
    ways = _ways(table.ways, np)
    rows = ways.rows(limits)
    kept: list[int] = []
    for group in ways.groups(rows) if by_site else [rows]:
        whole = len(group) == len(cost)
        columns = [column if whole else column[group] for column in (cost, time, high)]
        kept += _unbeaten_rows(group, columns if with_high else columns[:2], np)
    ordered = sorted((int(cost[row]), round(float(time[row]) * MICRO_S), int(high[row]), row) for row in kept)
    if not (by_site or with_high):
        ordered = [one for number, one in enumerate(ordered) if not number or one[1] < ordered[number - 1][1]]
    return [_survivor(table, one) for one in ordered]


def _survivor(table: Table, one: tuple[int, int, int, int]) -> Survivor:
    cost, time, high, row = one
    amount = Fraction(cost, table.scale)
    return Survivor(row, amount, amount if high == cost else Fraction(high, table.scale), time, table.ways[row].site)


def _unbeaten_rows(rows: Any, columns: list[Any], np: Any) -> list[int]:
    """Those that no other one is as good as in every column, and a few more. `columns` are cost, time and, where it
    counts, the cost at the asked-for confidence."""
    if len(rows) == 0:
        return []
    left = _worth_sorting(columns, np)
    rows, columns = rows[left], [column[left] for column in columns]
    if len(columns) == 2:
        cost, time = columns
        order = np.lexsort((rows, time, cost))
        best = np.minimum.accumulate(time[order])
        new = np.ones(len(order), dtype=bool)
        new[1:] = best[1:] < best[:-1]
        return [int(row) for row in rows[order[new]]]
    return _by_dominators(rows, columns, np)


def _worth_sorting(columns: list[Any], np: Any) -> Any:
    """Most rows are beaten by the best compromises of cost and time: a pass for each of a few, where sorting all takes
    as long as ten."""
    left = np.arange(len(columns[0]))
    for weigh in COMPROMISES:
        some = [column[left] for column in columns]
        at = int(np.argmin(weigh(some[0].astype(np.float64), some[1])))
        kept = np.zeros(len(left), dtype=bool)
        for column in some:
            kept |= column < column[at]
        equal = np.ones(len(left), dtype=bool)
        for column in some:
            equal &= column == column[at]
        left = left[kept | equal]
    return left


def _by_dominators(rows: Any, columns: list[Any], np: Any) -> list[int]:
    """The row of the least sum of ranks is beaten by none: take it, drop what it beats, go on."""
    ranks = sum(np.unique(column, return_inverse=True)[1].astype(np.int64) for column in columns)
    order = np.lexsort((rows, ranks))
    rows, columns = rows[order], [column[order] for column in columns]
    kept: list[int] = []
    while len(rows):
        kept.append(int(rows[0]))
        beaten = np.ones(len(rows), dtype=bool)
        for column in columns:
            beaten &= column >= column[0]
        rows, columns = rows[~beaten], [column[~beaten] for column in columns]
    return kept


class _Ways:
    """What is asked of the ways of a table, which many steps share: once."""

    def __init__(self, ways: Sequence[Way], np: Any) -> None:
        self.ways = ways
        self._np = np
        self._rows: dict[tuple[Any, ...], Any] = {}
        self._sites: Any = None

    def rows(self, limits: Limits) -> Any:
        """Those that the limits allow."""
        key = tuple(getattr(limits, name) for name in FACETS)
        if key not in self._rows:
            if not any(key):
                self._rows[key] = self._np.arange(len(self.ways))
            else:
                mask = [allowed(way, limits) for way in self.ways]
                self._rows[key] = self._np.flatnonzero(self._np.array(mask, dtype=bool))
        return self._rows[key]

    def groups(self, rows: Any) -> list[Any]:
        """Rows by site."""
        if self._sites is None:
            codes: dict[Site, int] = {}
            self._sites = self._np.array([codes.setdefault(way.site, len(codes)) for way in self.ways])
        found = self._sites[rows]
        return [rows[found == code] for code in self._np.unique(found)]


_LAST: list[_Ways] = []


def _ways(ways: Sequence[Way], np: Any) -> _Ways:
    """Of the tables that were looked at last: the same object for the same ways."""
    for known in _LAST:
        if known.ways is ways:
            return known
    _LAST.insert(0, _Ways(ways, np))
    del _LAST[8:]
    return _LAST[0]
