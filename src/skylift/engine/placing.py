"""Where a task is wanted: by its run, by the settings, by itself, or by a plan that has bought a place for it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from skylift.ports.compute import Bought, Offer
from skylift.ports.tasks import TaskSpec

LOCAL = "local"
"""Region of places that nobody sells."""
LENT = "activity:"
"""What the place of a task begins with that the workers of an activity run: `activity:NAME`."""
WITHIN = "plan.within"
"""Attribute of a nested run of a planned run: what its steps are called within the plan (`trial/`)."""


def placed(spec: TaskSpec, attributes: Mapping[str, str], placement: Mapping[str, str]) -> str | None:
    """What the run says, else the settings, else the task."""
    said = attributes.get(f"on.{spec.name}") or attributes.get("on")
    return said or placement.get(spec.name) or placement.get("*") or spec.on


def is_lent(spec: TaskSpec, attributes: Mapping[str, str], placement: Mapping[str, str]) -> bool:
    """Whether the workers of an activity run it."""
    return (placed(spec, attributes, placement) or "").startswith(LENT)


def on_plan(spec: TaskSpec, bought: Bought) -> TaskSpec:
    """The task, to be run on what is bought for it. Places that are bought by their memory give all of it."""
    needs = spec.requirements
    memory = bought.memory_mib if bought.region != LOCAL else needs.memory_mib
    return msgspec.structs.replace(
        spec,
        requirements=msgspec.structs.replace(
            needs, place=bought, memory_mib=memory, spot=needs.spot and bought.market == "spot"
        ),
    )


def is_bought(offer: Offer, bought: Bought | None) -> bool:
    """Whether an offer is what a plan has bought. How large one's own machine is may change."""
    return bought is not None and (offer.service, offer.instance_type, offer.market, offer.region) == (
        bought.service,
        bought.instance_type,
        bought.market,
        bought.region,
    )
