"""What somebody asks a plan for, narrowed to what the constraints of advice leave of it."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from skylift.advice.constraints import Constraints, ConstraintsInvalid
from skylift.advice.networks import can_be_private, networks
from skylift.pricing.catalogue import Catalogue

MARKETS = ("on-demand", "spot")
SERVICES = ("function", "container", "batch", "managed-training")
BUYS = "simulated"
"""The backend that buys in a cloud; the others are machines of one's own."""
OWN = ("process",)
USUAL_CLOUDS = ("aws",)
"""Where a plan buys if nobody says."""


_NONE_LEFT = "the constraints leave nothing at all: loosen them, or have `skylift advise` write them"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Words of `skylift plan`; none is whatever it does then."""

    clouds: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()


def narrow(bound: Constraints, asked: Asked, catalogue: Catalogue) -> Asked:
    """Raises ConstraintsInvalid where nothing is left, naming what was asked for and what is allowed."""
    if bound.own_machines_only:
        return _own(bound, asked)
    services = _without("--services", asked.services, SERVICES, bound.without, _reason(bound, "without"))
    left = msgspec.structs.replace(asked, services=services)
    if bound.private_network:
        left = _private(bound, left)
    return msgspec.structs.replace(
        left,
        regions=_regions(bound, left, catalogue),
        markets=_without("--markets", asked.markets, MARKETS, () if bound.spot else ("spot",), _reason(bound, "spot")),
    )


def notes(bound: Constraints, asked: Asked | None = None) -> list[str]:
    """What a plan cannot see to, and whoever sets the machines up must; how, for the clouds and services asked for."""
    if not bound.private_network or bound.own_machines_only:
        return []
    first = f"machines may have no address on the internet{_reason(bound, 'private_network')}"
    told = f"{first}; a plan leaves out what cannot do without one, and sets nothing up"
    clouds, services = _of(asked) if asked is not None else ((), ())
    set_up = [one for one in networks() if one.how and one.cloud in clouds and one.service in services]
    return [told, *(f"{one.cloud} {one.service}: {one.how} ({one.source})" for one in set_up)]


def _of(asked: Asked) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Clouds and services, the usual ones where nobody says."""
    return words(asked.clouds) or USUAL_CLOUDS, words(asked.services) or SERVICES


def _private(bound: Constraints, asked: Asked) -> Asked:
    """Without what cannot run in a private network; the same words where all can."""
    clouds, services = _of(asked)
    left = tuple(cloud for cloud in clouds if any(can_be_private(cloud, one) for one in services))
    if not left:
        raise _nowhere_private(bound, clouds, services)
    kept = tuple(one for one in services if any(can_be_private(cloud, one) for cloud in left))
    return msgspec.structs.replace(
        asked,
        clouds=asked.clouds if left == clouds else left,
        services=asked.services if kept == services else kept,
    )


def _nowhere_private(bound: Constraints, clouds: Sequence[str], services: Sequence[str]) -> ConstraintsInvalid:
    why = [one.none for one in networks() if one.none and one.cloud in clouds and one.service in services]
    there = dict.fromkeys(one.cloud for one in networks() if one.how and one.service in services)
    return ConstraintsInvalid(
        f"--clouds {','.join(clouds)}: nothing there can run without an address on the internet"
        f"{_reason(bound, 'private_network')}" + (f" ({'; '.join(why)})" if why else ""),
        hint=f"allowed: {', '.join(there)}" if there else "ask for other --services",
    )


def _own(bound: Constraints, asked: Asked) -> Asked:
    if BUYS in words(asked.backends):
        raise ConstraintsInvalid(
            f"--on {BUYS} buys in a cloud, but only machines of your own may be used"
            f"{_reason(bound, 'own_machines_only')}",
            hint=f"--on {OWN[0]}, or clear what the constraints name",
        )
    return msgspec.structs.replace(asked, backends=asked.backends or OWN)


def _regions(bound: Constraints, asked: Asked, catalogue: Catalogue) -> tuple[str, ...]:
    """Names of all regions that are asked for and allowed; as they were asked for where any is allowed."""
    if bound.regions is None:
        return asked.regions
    clouds, wanted = words(asked.clouds) or USUAL_CLOUDS, words(asked.regions)
    known = [region for cloud in clouds if cloud in catalogue.clouds for region in catalogue.regions(cloud)]
    allowed = [region for region in known if _any(region, bound.regions) and region != "*"]
    left = [region for region in allowed if not wanted or _any(region, wanted)]
    if left:
        return tuple(dict.fromkeys(left))
    if wanted and not any(_any(region, wanted) for region in known):
        return asked.regions  # a name that nothing has: the plan says which was meant
    said = f"--regions {','.join(wanted)}" if wanted else f"--clouds {','.join(clouds)}"
    raise ConstraintsInvalid(
        f"{said}: none of these regions is allowed{_reason(bound, 'regions')}",
        hint=f"allowed: {', '.join(allowed or bound.regions)}" if bound.regions else _NONE_LEFT,
    )


def _without(
    option: str, asked: Sequence[str], usual: Sequence[str], refused: Sequence[str], reason: str
) -> tuple[str, ...]:
    if not refused:
        return tuple(asked)
    wanted = words(asked) or tuple(usual)
    left = tuple(one for one in wanted if one not in refused)
    if not left:
        allowed = [one for one in usual if one not in refused]
        raise ConstraintsInvalid(
            f"{option} {','.join(wanted)}: not allowed{reason}",
            hint=f"allowed: {', '.join(allowed)}" if allowed else _NONE_LEFT,
        )
    return left


def _any(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, one) for one in patterns)


def words(given: Sequence[str]) -> tuple[str, ...]:
    """With commas or one by one."""
    return tuple(dict.fromkeys(one.strip() for text in given for one in text.split(",") if one.strip()))


def _reason(bound: Constraints, field: str) -> str:
    reasons = bound.because.get(field)
    return f": {reasons[0]}" if reasons else ""
