"""What is bought in the simulated cloud for a task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from skylift.compute.simulated.hands import NAME
from skylift.compute.simulated.room import Room
from skylift.config.backends import SimulatedSettings
from skylift.placement.feasible import unreal
from skylift.ports.compute import Bought, Offer, Requirements
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.places import Place, hourly, offer_of, places


def choose(needs: Requirements, market: str, settings: SimulatedSettings, catalogue: Catalogue) -> Place | None:
    """The cheapest of the first class that it fits, on the market that is asked for, or on-demand where that has no
    prices."""
    bought = needs.place
    if bought is None:
        return next(iter(_places(needs, settings, catalogue, markets=(market, "on-demand"))), None)
    place = place_bought(needs, bought)
    if place is None:
        return next(iter(_larger(needs, bought, settings, catalogue)), None)
    steady = msgspec.structs.replace(place, market="on-demand")
    ways = (place,) if market == place.market else (steady, place)  # the policy may have given up on spot
    return next((way for way in ways if _can_be_had(way, settings, catalogue)), None)


def offers_for(needs: Requirements, settings: SimulatedSettings, catalogue: Catalogue) -> list[Offer]:
    """All that fit, on both markets for a task that may run on spot."""
    if needs.place is None:
        found = _places(needs, settings, catalogue, markets=("spot", "on-demand") if needs.spot else ("on-demand",))
        return [offer_of(place, NAME, catalogue) for place in found]
    place = place_bought(needs, needs.place)
    if place is None:
        found = _larger(needs, needs.place, settings, catalogue)
        return [offer_of(place, NAME, catalogue) for place in found]
    return [offer_of(place, NAME, catalogue)] if _can_be_had(place, settings, catalogue) else []


def place_bought(needs: Requirements, bought: Bought) -> Place | None:
    """What a plan has bought; None for what has outgrown it."""
    if (needs.memory_mib or 0) > bought.memory_mib:
        return None
    return Place(
        service=bought.service,
        instance_type=bought.instance_type,
        vcpus=bought.vcpus,
        memory_mib=bought.memory_mib,
        region=bought.region,
        market=bought.market,
        gpu=bought.gpu,
        gpus=bought.gpus,
        nodes=needs.nodes,
        cloud=bought.cloud,
    )


def _can_be_had(place: Place, settings: SimulatedSettings, catalogue: Catalogue) -> bool:
    """There is such a thing, it has a price, and the quotas allow it."""
    exists = unreal(place, catalogue) is None and hourly(place, catalogue) is not None
    return exists and Room(settings).has(place)


def _larger(needs: Requirements, bought: Bought, settings: SimulatedSettings, catalogue: Catalogue) -> list[Place]:
    """For what has outgrown its place: the cheapest of the same class there, then of the others."""
    room, services = Room(settings), dict.fromkeys((bought.service, *settings.services))
    found = places(needs, catalogue=catalogue, region=bought.region, services=tuple(services), cloud=bought.cloud)
    return [place for place in found if room.has(place)]


def _places(
    needs: Requirements, settings: SimulatedSettings, catalogue: Catalogue, markets: Iterable[str]
) -> list[Place]:
    found: list[Place] = []
    room = Room(settings)
    for market in dict.fromkeys(markets):
        found += places(
            needs,
            catalogue=catalogue,
            region=settings.region,
            services=settings.services,
            market=msgspec.convert(market, Literal["on-demand", "spot", "reserved"]),
        )
    return [place for place in found if room.has(place)]


def wish(needs: Requirements) -> str:
    """What it asks for, in words."""
    words = [f"{needs.cpus:g} processors"]
    words += [f"{needs.memory_mib} MiB of memory"] if needs.memory_mib is not None else []
    words += [f"the GPU {needs.gpu}"] if needs.gpu is not None else []
    words += [f"{needs.nodes} machines"] if needs.nodes > 1 else []
    return ", ".join(words)
