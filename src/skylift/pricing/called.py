"""A machine as people call it: its name as its provider writes it, the cloud that has it, that cloud's usual region."""

from __future__ import annotations

import msgspec

from skylift.pricing.catalogue import DEFAULT_REGION, Catalogue
from skylift.pricing.rows import CLOUDS


class Called(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    cloud: str
    region: str


def called(type: str, cloud: str | None, region: str | None, catalogue: Catalogue) -> Called:
    """What is given stands, in small letters; a name that no cloud has stays as it is, for its error names the nearest.
    Without a cloud it is the first that has the machine, and AWS where none has."""
    among = CLOUDS if cloud is None else (cloud.lower(),)
    for one in among:
        name = spelt(type, one, catalogue)
        if name is not None:
            return Called(type=name, cloud=one, region=_region(region, one))
    where = among[0] if cloud is not None else "aws"
    return Called(type=type, cloud=where, region=_region(region, where))


def spelt(type: str, cloud: str, catalogue: Catalogue) -> str | None:
    """The machine's name as its provider writes it; None where the cloud has no such machine."""
    if catalogue.machine(type, cloud) is not None:
        return type
    wanted = type.strip().lower()
    return next((name for name in catalogue.machines(cloud) if name.lower() == wanted), None)


def _region(region: str | None, cloud: str) -> str:
    if region is not None:
        return region.strip().lower()
    if cloud == "aws":
        return DEFAULT_REGION
    from skylift.pricing.estimate.rules import rules

    return rules().regions[cloud]
