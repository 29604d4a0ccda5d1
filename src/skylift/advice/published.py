"""The published break-even of functions and instances, worked out again: what holds of it, and where it is off."""

from __future__ import annotations

from fractions import Fraction
from importlib.resources import files

import msgspec

from skylift.advice.figures import Figure, Input, figure, passed_on
from skylift.advice.prices import Prices
from skylift.pricing.catalogue import DEFAULT_REGION, Catalogue

TOPIC = "the published break-even"


class _Published(msgspec.Struct, frozen=True, kw_only=True):
    source: str
    inputs: dict[str, tuple[str, str, str]]
    """Name → value, unit, what it is."""


def figures(catalogue: Catalogue) -> list[Figure]:
    """3.1 million by its own price of a prediction; 3.24 million by the price that its own inputs give."""
    said = _inputs()
    even = "instance * hours / request"
    stated = msgspec.structs.replace(said["claimed_request"], name="request")
    first = figure(
        "published-break-even", TOPIC, "predictions a month, by the price of a prediction that it states",
        "predictions", even, said["instance"], said["hours"], stated, note="holds: it says 3.1 million",
    )  # fmt: skip
    derived = figure(
        "published-request", TOPIC, "a prediction on the function, from its own inputs", "USD",
        "memory * duration * gb_second + fee", said["memory"], said["duration"], said["gb_second"], said["fee"],
        note="does not hold: it states $0.0000179, as if a prediction took 0.354 s and not 0.338 s",
    )  # fmt: skip
    second = figure(
        "published-break-even-derived", TOPIC, "predictions a month, by that price", "predictions", even,
        said["instance"], said["hours"], passed_on(derived, "request"),
        note="what its own inputs give: 3.24 million, 4.7 % above what it says",
    )  # fmt: skip
    return [first, derived, second, *_capacity(said, first), _today(said, catalogue)]


def _capacity(said: dict[str, Input], even: Figure) -> list[Figure]:
    second = Input(name="second", value=Fraction(3600), unit="s/h", source="definition")
    most = figure(
        "published-capacity", TOPIC, "predictions a month that one c5a.large can make", "predictions",
        "hours * second / instance_duration", said["hours"], second, said["instance_duration"],
        note="holds: it says 14.6 million",
    )  # fmt: skip
    share = figure(
        "published-used", TOPIC, "how much of the instance the break-even uses", "share", "break_even / capacity",
        passed_on(even, "break_even"), passed_on(most, "capacity"),
        note="one instance is enough at the break-even, so it may be compared with one",
    )  # fmt: skip
    return [most, share]


def _today(said: dict[str, Input], catalogue: Catalogue) -> Figure:
    prices = Prices(catalogue, "aws", DEFAULT_REGION)
    return figure(
        "published-break-even-catalogue", TOPIC, "the same by the catalogue's prices", "predictions",
        "instance * hours / (memory * duration * gb_second + fee)",
        prices.machine("c5a.large", "on-demand", "instance"), said["hours"], said["memory"], said["duration"],
        prices.rate("function", "memory", "gb_second", "USD/GB-s"), prices.rate("function", "requests", "fee", "USD"),
    )  # fmt: skip


def _inputs() -> dict[str, Input]:
    text = files("skylift.advice").joinpath("data/published.toml").read_bytes()
    read = msgspec.toml.decode(text, type=_Published)
    return {
        name: Input(name=name, value=Fraction(value), unit=unit, source=f"{read.source}: {what}")
        for name, (value, unit, what) in read.inputs.items()
    }
