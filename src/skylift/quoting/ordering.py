"""From the words of whoever wants a plan to its limits, with a clear answer to every word that means nothing."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import msgspec

from skylift.advice.amounts import Speed
from skylift.errors import AuthorError
from skylift.placement.candidates import SERVICES, Wanted, matching, unmatched
from skylift.placement.model import Limits, Site
from skylift.pricing.catalogue import DEFAULT_REGION, Catalogue
from skylift.pricing.names import nearest
from skylift.pricing.places import MICRO
from skylift.quoting.order import Order
from skylift.quoting.placing import SIMULATED
from skylift.units import parse_duration_ms, parse_usd

MARKETS = ("on-demand", "spot")
_CLASSES = {
    "lambda": "function",
    "fargate": "container",
    "ec2": "batch",
    "vm": "batch",
    "machine": "batch",
    "sagemaker": "managed-training",
}
"""What people call them."""
BACKENDS = (SIMULATED, "process", "container", "batch", "ray")


SUREST = 0.999
"""What a thousand jobs played on spot machines can tell (`interruptions`)."""


class OrderInvalid(AuthorError):
    """A limit of a plan that cannot be understood, or that nothing can keep."""

    code = "PLAN"


def order_of(
    catalogue: Catalogue,
    *,
    deadline: str | None = None,
    budget: str | None = None,
    objective: str = "cost",
    confidence: str = "0.9",
    regions: Sequence[str] = (),
    clouds: Sequence[str] = (),
    services: Sequence[str] = (),
    markets: Sequence[str] = (),
    types: Sequence[str] = (),
    backends: Sequence[str] = (),
    data_at: str | None = None,
    uplink: str | None = None,
    region: str = DEFAULT_REGION,
) -> Order:
    """`region` is where it buys unless `regions` says otherwise. Raises OrderInvalid, or InvalidAmount."""
    clouds = _named("--clouds", clouds, catalogue.clouds) or ("aws",)
    services = _named("--services", services, SERVICES)
    markets = _named("--markets", markets, MARKETS)
    backends = _named("--on", backends, BACKENDS) or (SIMULATED,)
    regions = _regions(regions, clouds, region, catalogue)
    types = _types(types, clouds, catalogue)
    limits = Limits(
        deadline_s=None if deadline is None else parse_duration_ms(deadline, "--deadline") / 1000,
        budget=None if budget is None else Fraction(parse_usd(budget, "--budget")) * MICRO,
        confidence=_confidence(confidence),
        regions=regions,
        clouds=clouds,
        services=services,
        markets=markets,
    )
    wanted = Wanted(clouds=clouds, regions=("*",), types=types)
    return Order(
        limits=limits,
        objective=msgspec.convert(objective, Any) if objective in ("cost", "time") else _no_objective(objective),
        wanted=wanted,
        backends=backends,
        data_at=None if data_at is None else _site(data_at, catalogue),
        uplink=None if uplink is None else _speed(uplink),
    )


def _named(option: str, given: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """With commas or one by one; each must be there."""
    found = _split(option, given)
    for name in found:
        if name not in known:
            near = [_CLASSES[name]] if name in _CLASSES and _CLASSES[name] in known else nearest(name, known)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
            raise OrderInvalid(f"{option} {name!r}: there is no such thing", hint=hint)
    return found


def _split(option: str, given: Sequence[str]) -> tuple[str, ...]:
    for text in given:
        if not all(name.strip() for name in text.split(",")):
            raise OrderInvalid(f"{option} {text!r}: an empty name says nothing", hint=f"leave {option} out for all")
    return tuple(dict.fromkeys(name.strip() for text in given for name in text.split(",") if name.strip()))


def _regions(given: Sequence[str], clouds: Sequence[str], usual: str, catalogue: Catalogue) -> tuple[str, ...]:
    """Patterns; the usual one where none is given, and where that is no region of the clouds, all of theirs."""
    names = [region for cloud in clouds for region in catalogue.regions(cloud)]
    found = _split("--regions", given)
    for pattern, near in unmatched(found, names):
        shown = ", ".join(near[:3] or sorted(names)[:6])
        hint = f"did you mean {near[0]}?" if near else f"there are: {shown}, …"
        raise OrderInvalid(f"--regions {pattern!r}: no region of {', '.join(clouds)} is called so", hint=hint)
    if found:
        return found
    return (usual,) if usual in names else ("*",)


def _types(given: Sequence[str], clouds: Sequence[str], catalogue: Catalogue) -> tuple[str, ...]:
    found = _split("--types", given)
    names = [name for cloud in clouds for name in catalogue.machines(cloud)]
    for pattern in found:
        if not matching([pattern], [*names, "lambda", "fargate", "cloud-functions", "cloud-run", "azure-functions"]):
            near = catalogue.nearest_type(pattern)
            hint = f"did you mean {near[0]}?" if near else "see skylift prices find"
            raise OrderInvalid(f"--types {pattern!r}: no machine of {', '.join(clouds)} is called so", hint=hint)
    return found


def _confidence(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.5 <= share <= SUREST:
        raise OrderInvalid(f"--confidence {text!r} is not a probability from 0.5 to {SUREST:g}", hint="write 0.9")
    return share


def _site(text: str, catalogue: Catalogue) -> Site:
    cloud, colon, region = text.partition(":")
    if not colon:
        raise OrderInvalid(f"--data-at {text!r} is not a cloud and a region", hint="write --data-at aws:us-east-1")
    _named("--data-at", [cloud], catalogue.clouds)
    _named("--data-at", [region], catalogue.regions(cloud))
    return Site(cloud, region)


def _speed(text: str) -> float:
    """Bits a second."""
    try:
        speed = float(Speed.parse(text).value)
    except ValueError as problem:
        raise OrderInvalid(f"--uplink {problem}", hint='write --uplink "200 Mbit/s"') from None
    if speed <= 0:
        raise OrderInvalid(f"--uplink {text!r}: nothing would ever arrive", hint='write --uplink "200 Mbit/s"')
    return speed


def _no_objective(objective: str) -> Any:
    raise OrderInvalid(f"--objective {objective!r} is neither cost nor time")
