"""What one attempt of a step is expected to cost and take on one place: every part with its formula."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import msgspec

from skylift.placement.interruptions import Interruptions, Net, Reworked, caught, reworked
from skylift.placement.model import Part
from skylift.placement.spread import Spread
from skylift.pricing.catalogue import Catalogue, Rule
from skylift.pricing.places import HOUR_MS, MICRO, Place, billed_ms, hourly

HOPELESS = 30
"""A spot machine on which work takes so many times as long is no way to do it."""
MOST_FAILED = 0.9
"""What has always failed is taken to succeed once in ten times: somebody has mended it, or nobody would run it."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a step wherever it runs."""

    memory_mib: Spread | None = None
    """What an attempt needs; None where it was not measured."""
    failed: float = 0.0
    """Share of attempts that end in a failure of their own and are tried again."""
    repeats: int | None = None
    """How often that is done at the most; None: until one succeeds."""
    in_bytes: float | None = None
    checkpoint_ms: float | None = None
    market: Interruptions | None = None
    deadline_ms: float | None = None
    """When the step should have ended, counted from its beginning: it leaves spot in time for that."""


class Bid(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt on one place, on average. Micro-dollars and milliseconds."""

    place: Place
    hour: Fraction
    fee: Fraction
    rule: Rule
    around: Surroundings
    run: Spread
    startup_ms: tuple[float, float]
    cost: Fraction
    parts: tuple[Part, ...]
    run_ms: float
    """Expected, rework included."""
    waiting_ms: float
    rework_ms: float
    """The same, before what is tried again for lack of memory and after failures."""
    net: Net | None = None
    """When it leaves spot; None where it never does."""
    dearer_ms: float = 0.0
    """What on-demand costs more than spot, in time at the price of spot."""

    @property
    def startup_mean_ms(self) -> float:
        return sum(self.startup_ms) / 2


@lru_cache(maxsize=16_384)
def bid(place: Place, run: Spread, around: Surroundings, catalogue: Catalogue) -> Bid | None:
    """By the catalogue; None where the place has no price. Kept: many steps ask for the same."""
    hour, rule = hourly(place, catalogue), catalogue.rules_of(place.cloud).get(place.service)
    if hour is None or rule is None:
        return None
    return bid_at(place, hour, rule, _request(place, catalogue), run, around, _net(place, hour, around, catalogue))


def _net(place: Place, hour: Fraction, around: Surroundings, catalogue: Catalogue) -> Net | None:
    """Only where on-demand has a price too: else there is nowhere to go."""
    if place.market != "spot" or around.deadline_ms is None or not hour:
        return None
    steady = hourly(msgspec.structs.replace(place, market="on-demand"), catalogue)
    return None if steady is None else Net(deadline_ms=around.deadline_ms, dearer=max(1.0, float(steady / hour)))


def bid_at(
    place: Place, hour: Fraction, rule: Rule, fee: Fraction, run: Spread, around: Surroundings, net: Net | None = None
) -> Bid | None:
    """At this price an hour and a request; None for what would never end."""
    low, high = rule.startup_ms
    startup, grid = (low + high) / 2, run.grid()
    cost, parts = _undisturbed(hour, fee, rule, grid)
    machine, waiting, dearer = startup + float(_mean(grid)), 0.0, 0.0
    if place.market == "spot" and around.market is not None:
        lived = _lived(startup, (float(low), float(high)), grid, around, net)
        if not lived.machine_ms <= HOPELESS * machine:
            return None
        dearer = 0.0 if net is None else (net.dearer - 1) * lived.steady_ms
        more = _on_spot(hour, max(0.0, lived.machine_ms - machine), lived, dearer, around.market)
        cost += sum((part.amount for part in more), Fraction(0))
        parts += more
        machine, waiting = max(machine, lived.machine_ms), lived.waiting_ms
    lasting = machine
    cost, parts, machine = _repeated(place, cost, parts, machine, around)
    return Bid(
        place=place,
        hour=hour,
        fee=fee,
        rule=rule,
        around=around,
        run=run,
        startup_ms=(float(low), float(high)),
        cost=cost + fee,
        parts=tuple(parts),
        run_ms=max(0.0, machine - startup),
        waiting_ms=waiting,
        rework_ms=max(0.0, lasting - startup),
        net=net,
        dearer_ms=dearer,
    )


def _undisturbed(hour: Fraction, fee: Fraction, rule: Rule, grid: tuple[float, ...]) -> tuple[Fraction, list[Part]]:
    """What is paid where nothing comes between, on average over the grid: without the fee, and in parts with it."""
    startup, rate, mean_ms = sum(rule.startup_ms) / 2, hour / HOUR_MS, _mean(grid)
    billed = [Fraction(billed_ms(rule, startup, ms)) for ms in grid]
    average = sum(billed, Fraction(0)) / len(billed)
    paid_startup = startup if rule.bills_startup else 0.0
    parts = [_part("compute", rate * mean_ms, f"{_usd(hour)}/h x {_seconds(float(mean_ms))} of running")]
    first = rate * exact(paid_startup)
    if first:
        parts.append(_part("start-up", first, f"{_usd(hour)}/h x {_seconds(paid_startup)} until it runs"))
    idle = rate * (average - mean_ms - exact(paid_startup))
    if idle > 0:
        least = f"{rule.minimum_ms / 1000:g} s at least" if rule.minimum_ms > rule.increment_ms else ""
        what = ", ".join(word for word in (f"begun {rule.increment_ms} ms are paid whole", least) if word)
        parts.append(_part("rounding", idle, f"{_usd(hour)}/h x {_seconds(float(idle / rate))}: {what}"))
    if fee:
        parts.append(_part("requests", fee, f"{_usd(fee)} a request"))
    return rate * average, parts


def _mean(grid: tuple[float, ...]) -> Fraction:
    return exact(sum(grid) / len(grid))


def _lived(
    startup: float, between: tuple[float, float], grid: tuple[float, ...], around: Surroundings, net: Net | None
) -> Reworked:
    """On average over the grid."""
    assert around.market is not None
    every, market = around.checkpoint_ms, around.market
    if net is None or market.never:
        found = [reworked(startup, ms, market, every) for ms in grid]
    else:
        found = [caught(market, between, ms, every, net.deadline_ms) for ms in grid]
    return Reworked(
        machine_ms=sum(one.machine_ms for one in found) / len(grid),
        preemptions=sum(one.preemptions for one in found) / len(grid),
        waiting_ms=sum(one.waiting_ms for one in found) / len(grid),
        steady_ms=sum(one.steady_ms for one in found) / len(grid),
    )


def _on_spot(hour: Fraction, rework_ms: float, lived: Reworked, dearer_ms: float, market: Interruptions) -> list[Part]:
    """What a market that takes machines away adds to the cost. `dearer_ms` is what on-demand costs more, in time at the
    price of spot."""
    rate = hour / HOUR_MS
    parts = [
        _part(
            "rework",
            rate * exact(rework_ms),
            f"{_usd(hour)}/h x {_seconds(rework_ms)}: {lived.preemptions:.2f} preemptions expected at "
            f"{market.per_hour:.3g} an hour, start-up and work since the last checkpoint each time",
        )
    ]
    if dearer_ms:
        more = hour * exact(dearer_ms / lived.steady_ms)
        parts.append(
            _part(
                "on-demand",
                rate * exact(dearer_ms),
                f"{_usd(more)}/h more x {_seconds(lived.steady_ms)} expected on on-demand, where it goes "
                "to keep its deadline",
            )
        )
    return parts


def _repeated(
    place: Place, cost: Fraction, parts: list[Part], machine: float, around: Surroundings
) -> tuple[Fraction, list[Part], float]:
    """What runs out of memory is done again with twice as much; what fails is tried again."""
    short = 0.0 if around.memory_mib is None else around.memory_mib.above(place.memory_mib)
    if short > 1e-6:
        again = cost * 2 * exact(short)
        said = f"{short:.1%} need more than {place.memory_mib} MiB x again, at twice the memory and price"
        parts.append(_part("out-of-memory", again, said))
        cost += again
        machine *= 1 + short
    if around.failed > 0:
        tries = _repeats(around)
        most = "" if around.repeats is None else f", at most {around.repeats} x"
        said = f"{around.failed:.0%} of attempts failed, and such are repeated{most}"
        parts.append(_part("retries", cost * exact(tries), said))
        cost += cost * exact(tries)
        machine *= 1 + tries
    return cost, parts, machine


def _repeats(around: Surroundings) -> float:
    """Expected: p + p^2 + ..., for as many as there may be, with p no more than `MOST_FAILED`."""
    share = min(around.failed, MOST_FAILED)
    endless = share / (1 - share)
    return endless if around.repeats is None else endless * (1 - share**around.repeats)


def _request(place: Place, catalogue: Catalogue) -> Fraction:
    if place.service != "function":
        return Fraction(0)
    rate = catalogue.rate("function", "requests", place.region, "on-demand", cloud=place.cloud)
    return Fraction(0) if rate is None else Fraction(rate.usd)  # of a million: micro-dollars of one


def _part(what: str, amount: Fraction, formula: str) -> Part:
    return Part(what=what, amount=amount, formula=formula)


def _usd(micro: Fraction) -> str:
    return f"${float(micro / MICRO):.6g}"


def _seconds(ms: float) -> str:
    return f"{ms / 1000:.6g} s"


def exact(number: float) -> Fraction:
    """To a millionth."""
    return Fraction(round(number * 1_000_000), 1_000_000)
