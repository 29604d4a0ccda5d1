"""Skylift and its base dependencies, as an attempt in a container finds them: mounted, never copied."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from pathlib import Path

from skylift.compute.container.engine import Mount
from skylift.compute.environments import our_places

PLACE = "/skylift/ours"
_ROOTS = "/skylift/lib"


def library_mounts(state: Path) -> tuple[Mount, ...]:
    """A folder of links under PLACE, to be put into PYTHONPATH, and what they lead to. Nothing else that lies there can
    be imported. The folder of links is made under `state` if it is not there yet."""
    places = our_places()
    roots = sorted({str(path.parent) for path in places.values()})
    targets = {root: f"{_ROOTS}/{number}" for number, root in enumerate(roots)}
    links = {name: f"{targets[str(path.parent)]}/{path.name}" for name, path in places.items()}
    folder = _made(state, links)
    return (Mount(str(folder), PLACE), *(Mount(root, target) for root, target in targets.items()))


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
