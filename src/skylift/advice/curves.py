"""Pictures of the break-evens as plain points, from the figures that are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil

from skylift.advice.figures import Figure, show
from skylift.advice.report import Curve

POINTS = 120
Known = Mapping[str, Fraction]


_INPUTS = {
    "functions-month": {"requests": "requests"},
    "owning-month": {"price": "price", "running": "running"},
    "ephemeral-month": {"worked": "worked", "small": "small", "hours": "hours"},
}
"""What curves need of the inputs of figures."""


def curves(figures: Mapping[str, Figure]) -> tuple[Curve, ...]:
    """Those for which all is known."""
    known = {id: one.value for id, one in figures.items() if one.value is not None}
    for id, names in _INPUTS.items():
        given = {one.name: one.value for one in figures[id].inputs} if id in known else {}
        known |= {key: given[name] for key, name in names.items() if name in given}
    made = (_requests(known), _published(known), _months(known), _hours(known))
    return tuple(one for one in made if one is not None)


def _requests(known: Known) -> Curve | None:
    if not {"function-request", "instance-month", "instance-capacity", "function-break-even"} <= known.keys():
        return None
    even, capacity = known["function-break-even"], known["instance-capacity"]
    each, month = known["function-request"], known["instance-month"]
    at = _spread(max(2 * even, known.get("requests", Fraction(0))))
    return Curve(
        id="function-or-instance",
        title="A function or instances",
        x="requests a month (millions)",
        y="cost (USD a month)",
        series={
            "functions": _line(at, lambda x: x * each, 10**6),
            "instances": _line(at, lambda x: max(1, ceil(x / capacity)) * month, 10**6),
        },
        marks=(_mark(even, 10**6, f"break-even: {show(even)}"),),
    )


def _published(known: Known) -> Curve | None:
    if "published-break-even" not in known:
        return None
    even, request = known["published-break-even"], known["published-request"]
    month, other = known["published-break-even-derived"] * request, known["published-break-even-derived"]
    at = _spread(2 * even)
    return Curve(
        id="published",
        title="The published break-even: Inception V3 on Lambda and c5a.large",
        x="predictions a month (millions)",
        y="cost (USD a month)",
        series={
            "Lambda, price as stated": _line(at, lambda x: x * month / even, 10**6),
            "Lambda, from its own inputs": _line(at, lambda x: x * request, 10**6),
            "one c5a.large": _line(at, lambda x: month, 10**6),
        },
        marks=(_mark(even, 10**6, f"as stated: {show(even)}"), _mark(other, 10**6, f"derived: {show(other)}")),
    )


def _months(known: Known) -> Curve | None:
    if not {"renting-month", "owning-month", "price", "running"} <= known.keys():
        return None
    payback = known.get("buying-payback")
    at = _spread(max(2 * payback if payback is not None else Fraction(0), Fraction(36)))
    rent, price, running = known["renting-month"], known["price"], known["running"]
    return Curve(
        id="buy-or-rent",
        title="Buying and renting",
        x="months",
        y="spent so far (USD)",
        series={
            "renting": _line(at, lambda x: x * rent, 1),
            "buying": _line(at, lambda x: price + x * running, 1),
        },
        marks=() if payback is None else (_mark(payback, 1, f"paid for itself: {show(payback, 'ratio')} months"),),
    )


def _hours(known: Known) -> Curve | None:
    if not {"persistent-month", "ephemeral-month", "ephemeral-hours", "worked"} <= known.keys():
        return None
    stays, goes, even = known["persistent-month"], known["ephemeral-month"], known["ephemeral-hours"]
    small = known["small"] * known["hours"]
    if not known["worked"] or even < 0:
        return None
    each = (goes - small) / known["worked"]
    at = _spread(Fraction(730))
    series = {
        "machines that are always there": _line(at, lambda x: stays, 1),
        "ephemeral beside a small one": _line(at, lambda x: small + x * each, 1),
    }
    if "ephemeral-spot-month" in known:
        spot = (known["ephemeral-spot-month"] - small) / known["worked"]
        series["ephemeral on spot"] = _line(at, lambda x: small + x * spot, 1)
    return Curve(
        id="persistent-or-ephemeral",
        title="Machines that stay, and machines that come for the work",
        x="hours of work a month",
        y="cost (USD a month)",
        series=series,
        marks=(_mark(even, 1, f"break-even: {show(even, 'ratio')} h"),),
    )


def _spread(most: Fraction) -> list[Fraction]:
    return [most * step / POINTS for step in range(POINTS + 1)]


def _line(at: list[Fraction], of: Callable[[Fraction], Fraction], unit: int) -> tuple[tuple[float, float], ...]:
    return tuple((float(x / unit), float(of(x))) for x in at)


def _mark(at: Fraction, unit: int, label: str) -> tuple[float, str]:
    return float(at / unit), label
