"""What it takes to get data from one place to another: the price of what leaves a region, and the time on the line.

    cost  =  bytes x price of a GB that leaves the region (to another region, or to the internet for another cloud)
    time  =  bytes of one attempt / 5 Gbit/s between regions and clouds, one wave of attempts after the other
          =  bytes of all attempts / the uplink, from and to machines of one's own, which have one line together

The rent of a machine that waits for its data is not in it.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import msgspec

from skylift.placement.model import Move, Part, Priced, Site
from skylift.placement.plan import Plan
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.places import MICRO
from skylift.quoting.draws import Haulage

OWN_SITE = Site("own", "local")
"""Machines of one's own."""
GB = 10**9
TRANSFER = "transfer"
"""The part of a price that says what moving costs."""
BETWEEN_BITS = 5 * 10**9
"""Bits a second to another region or the internet, of one machine and of one connection: what AWS gives an instance of
fewer than 32 processors; of larger ones it is half of their bandwidth. Other clouds are reckoned with the same.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-network-bandwidth.html (read 2026-11-21)."""


class Freight(msgspec.Struct, frozen=True, kw_only=True):
    """What a step reads."""

    each: float
    """Bytes of one attempt."""
    attempts: float
    turns: float = 1.0
    """Waves of attempts, one after the other, of which each reads at once."""


def transfer(
    freight: Freight, begin: Site, end: Site, catalogue: Catalogue, uplink: float | None = None
) -> Move | None:
    """None where there is no price. What comes from a machine of one's own is not charged by anybody."""
    if begin == end:
        return Move()
    whole = freight.each * freight.attempts
    time_s, on_line = _time(freight, begin, end, uplink)
    if begin == OWN_SITE:
        return Move(time_s=time_s, formula=f"{whole / GB:.6g} GB, not charged{on_line}")
    item = "region" if begin.cloud == end.cloud else "internet"
    usd = _rate(begin, item, catalogue)
    if usd is None:
        return None
    cost = Fraction(str(round(whole, 3))) / GB * usd * MICRO
    formula = f"{whole / GB:.6g} GB x ${float(usd):g} ({item}, from {begin}){on_line}"
    return Move(cost=cost, time_s=time_s, formula=formula)


def haulage_of(plan: Plan) -> dict[str, Haulage]:
    """By step, what a plan says that moving its inputs costs and takes."""
    found: dict[str, Haulage] = {}
    for choice in plan.choices:
        for part in choice.priced.parts:
            if part.what == TRANSFER:
                found[choice.step] = Haulage(cost=part.amount, ms=part.time_s * 1000, formula=part.formula)
    for move in plan.moves:
        if move.cost or move.time_s:
            found[move.target] = Haulage(cost=move.cost, ms=move.time_s * 1000, formula=move.formula)
    return found


def with_inputs(way: Priced, move: Move) -> Priced:
    """A way of which getting the step's inputs to it is a part."""
    if not move.cost and not move.time_s:
        return way
    part = Part(what=TRANSFER, amount=move.cost, formula=move.formula, time_s=move.time_s)
    return msgspec.structs.replace(
        way,
        cost=way.cost + move.cost,
        cost_high=None if way.cost_high is None else way.cost_high + move.cost,
        time_s=way.time_s + move.time_s,
        time_high_s=None if way.time_high_s is None else way.time_high_s + move.time_s,
        parts=(*way.parts, part),
    )


def _time(freight: Freight, begin: Site, end: Site, uplink: float | None) -> tuple[float, str]:
    """Seconds, and how they come about."""
    if OWN_SITE in (begin, end):
        if uplink is None:
            return 0.0, "; how long is not known (--uplink)"
        seconds = freight.each * freight.attempts * 8 / uplink
        return seconds, f"; {seconds:.6g} s at {uplink / 1e6:g} Mbit/s"
    seconds = freight.each * freight.turns * 8 / BETWEEN_BITS
    turns = f" x {freight.turns:g} one after the other" if freight.turns != 1 else ""
    return seconds, f"; {seconds:.6g} s: {freight.each / GB:.6g} GB at {BETWEEN_BITS / 1e9:g} Gbit/s{turns}"


@cache
def _rate(begin: Site, item: str, catalogue: Catalogue) -> Fraction | None:
    rate = catalogue.rate("transfer", item, begin.region, "on-demand", cloud=begin.cloud)
    return None if rate is None else Fraction(rate.usd)
