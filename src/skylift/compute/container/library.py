"""Skylift and its base dependencies, as an attempt in a container finds them: mounted, never copied."""

from __future__ import annotations

from pathlib import Path

from skylift.compute.container.engine import Mount
from skylift.compute.environments import our_places
from skylift.compute.environments.ours import link_ours, linked

SKYLIFT = "/skylift/ours"
NEEDS = "/skylift/needs"
_ROOTS = "/skylift/lib"


def library_mounts(state: Path) -> tuple[Mount, ...]:
    """A folder with nothing but Skylift, one with nothing but what it needs, and what the links in them lead to. They
    are two so that packages of an image go before ours, and Skylift itself does not. The folders of links are made
    under `state` if they are not there yet."""
    places = our_places()
    roots = sorted({str(path.parent) for path in places.values()})
    targets = {root: f"{_ROOTS}/{number}" for number, root in enumerate(roots)}
    links = {name: f"{targets[str(path.parent)]}/{path.name}" for name, path in places.items()}
    ours = {"skylift": links.pop("skylift")}
    folders = (Mount(str(linked(state, "ours", ours)), SKYLIFT), Mount(str(linked(state, "ours", links)), NEEDS))
    return (*folders, *(Mount(root, target) for root, target in targets.items()))


def links_of_environments(environments: Path) -> tuple[Mount, ...]:
    """What the environments of tasks find Skylift by, under the paths that they know."""
    folder = link_ours(environments)
    roots = sorted({str(path.parent) for path in our_places().values()})
    return (Mount(str(folder), str(folder)), *(Mount(root, root) for root in roots))
