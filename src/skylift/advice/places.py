"""Where prices are looked up: the provider and region that were answered, or ones that the law on the data allows."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

from skylift.advice.project import Project
from skylift.advice.reading import ProjectInvalid
from skylift.advice.told import told
from skylift.pricing.catalogue import DEFAULT_REGION, Catalogue
from skylift.pricing.names import regions_hint

_USUAL = {"aws": DEFAULT_REGION, "gcp": "us-central1", "azure": "eastus", "lambda": "us-east-1"}


class Law(msgspec.Struct, frozen=True, kw_only=True):
    """A territory in which data must stay."""

    title: str
    regions: tuple[str, ...]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A region of a provider, and what was assumed in choosing it."""

    cloud: str
    region: str
    assumed: tuple[str, ...] = ()


@cache
def laws() -> dict[str, Law]:
    """By the word that stands for them in `data.residency`."""
    text = files("skylift.advice").joinpath("data/regions.toml").read_bytes()
    return msgspec.toml.decode(text, type=dict[str, Law])


def place_of(project: Project, catalogue: Catalogue) -> Place:
    """Raises ProjectInvalid for a region that the provider does not have."""
    cloud, notes = project.cloud or "aws", []
    if project.cloud is None:
        notes.append("prices are those of aws: no provider was named (cloud)")
    there = catalogue.regions(cloud=cloud)
    if project.region is not None:
        if project.region not in there:
            raise ProjectInvalid(
                f"region is {told(project.region)}: no price of {cloud} is known there",
                hint=regions_hint(project.region, (one for one in there if one != "*")),
            )
        return Place(cloud=cloud, region=project.region, assumed=tuple(notes))
    region = _lawful(project, cloud, there)
    notes.append(f"prices are those of {region}: no region was named (region)")
    return Place(cloud=cloud, region=region, assumed=tuple(notes))


def _lawful(project: Project, cloud: str, there: list[str]) -> str:
    """The usual region, or the first with prices where the data may lie."""
    bound = [laws()[law].regions for law in project.data.residency or () if law in laws()]
    usual = _USUAL[cloud]
    for region in (usual, *there):
        if region in there and all(region in regions for regions in bound):
            return region
    return usual
