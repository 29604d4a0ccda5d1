"""Skylift and its base dependencies, as an attempt in a container finds them: mounted, never copied."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from pathlib import Path

from skylift.compute.container.engine import Mount
from skylift.compute.environments import our_places
from skylift.compute.environments.ours import link_ours

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
    folders = (Mount(str(_made(state, ours)), SKYLIFT), Mount(str(_made(state, links)), NEEDS))
    return (*folders, *(Mount(root, target) for root, target in targets.items()))


def links_of_environments(environments: Path) -> tuple[Mount, ...]:
    """What the environments of tasks find Skylift by, under the paths that they know."""
    folder = link_ours(environments)
    roots = sorted({str(path.parent) for path in our_places().values()})
    return (Mount(str(folder), str(folder)), *(Mount(root, root) for root in roots))


def _made(state: Path, links: dict[str, str]) -> Path:
    """The same links are made once, by whoever comes first."""
    folder = state / f"ours-{hashlib.sha256(json.dumps(links).encode()).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Path(tempfile.mkdtemp(prefix=".ours-", dir=state))
    made.chmod(0o755)
    for name, target in links.items():
        (made / name).symlink_to(target)
    try:
        made.rename(folder)
    except OSError:  # somebody else was quicker
        for link in made.iterdir():
            link.unlink()
        with contextlib.suppress(OSError):
            made.rmdir()
    return folder
