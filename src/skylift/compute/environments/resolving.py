"""From what an author asks for to exact versions: asked once, then kept, so that the same request stays the same."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from skylift.compute.environments.building import EnvironmentFailed, this_python
from skylift.compute.environments.ours import conflicts, pinned
from skylift.compute.environments.uv import ToolFailed, find_uv, run_tool

_OFFLINE = ("dns error", "client error (Connect)", "timed out", "Failed to fetch", "network was disabled")
"""What uv says where it cannot reach an index."""


def resolve(lines: Sequence[str], cache_dir: Path | None) -> tuple[str, ...]:
    """Requirements with exact versions of all packages they need, on any platform, for this Python. Sorted.

    What was resolved is kept under `cache_dir` by the lines it was resolved from. Without uv the lines are given back
    as they are, and pip decides when the environment is built. Raises EnvironmentFailed in uv's own words.
    """
    asked = tuple(sorted(lines))
    uv = find_uv()
    if uv is None or not asked:
        return asked
    kept = None if cache_dir is None else cache_dir / "resolved" / f"{_key(asked)}.txt"
    known = () if kept is None else _known(kept)
    if known:
        return known
    found = _ask(uv, asked)
    if kept is not None:
        with contextlib.suppress(OSError):  # a full disk, somebody else's folder: it is asked again
            _keep(kept, found)
    return found


def refuse_conflicts(lines: Sequence[str]) -> None:
    """Raises EnvironmentFailed for versions of packages that Skylift itself cannot run with."""
    wrong = conflicts(pinned(tuple(lines)))
    if wrong:
        raise EnvironmentFailed(
            "; ".join(wrong), hint="leave that package out of the environment, or ask for a version that both accept"
        )


def refuse_platform(lines: Sequence[str], platform: str) -> None:
    """Raises EnvironmentFailed where a package has no wheel for a platform (`x86_64-manylinux2014`). Needs uv."""
    uv = find_uv()
    if uv is None or not lines:
        return
    command = [uv, "pip", "compile", "--quiet", "--no-deps", "--only-binary", ":all:", "--python-platform", platform]
    try:
        run_tool([*command, "--python-version", this_python(), "-"], given="\n".join(lines))
    except ToolFailed as problem:
        raise EnvironmentFailed(
            f"not all packages have wheels for {platform} and Python {this_python()}: {problem}",
            hint="ask for versions that have them, or give the task an image (`image=`)",
        ) from None


def export_uv_lock(folder: Path) -> list[str]:
    """The packages of a project's `uv.lock`, with hashes, without the project itself and its development groups."""
    uv = find_uv()
    if uv is None:
        raise EnvironmentFailed(
            f"{folder / 'uv.lock'} is read by uv, which is not installed here",
            hint="pip install 'skylift[environments]', or name a requirements file",
        )
    command = [uv, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-workspace", "--no-header", "--no-annotate"]
    try:
        return run_tool([*command, "--directory", str(folder)]).splitlines()
    except ToolFailed as problem:
        raise EnvironmentFailed(
            f"{folder / 'uv.lock'} cannot be read: {problem}", hint="bring it up to date with: uv lock"
        ) from None


def _ask(uv: str, lines: tuple[str, ...]) -> tuple[str, ...]:
    command = [uv, "pip", "compile", "--quiet", "--universal", "--no-header", "--no-annotate"]
    try:
        said = run_tool([*command, "--python-version", this_python(), "-"], given="\n".join(lines))
    except ToolFailed as problem:
        raise EnvironmentFailed(str(problem), hint=_unreachable(str(problem))) from None
    found = [line.strip() for line in said.splitlines() if not line.startswith("#")]
    return tuple(sorted({line for line in (*found, *(asked for asked in lines if asked.startswith("-"))) if line}))


def _unreachable(said: str) -> str | None:
    """What to do where nothing is wrong with the requirement: nobody could be asked."""
    if not any(sign in said for sign in _OFFLINE):
        return None
    return "try again with a network, or name a lock file (every line with --hash) or wheels (name @ file:///…)"


def _known(kept: Path) -> tuple[str, ...]:
    """Nothing where there is none, or none that can be used: power may be lost before a file has its content."""
    try:
        found = tuple(kept.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return ()
    with contextlib.suppress(OSError):
        os.utime(kept)
    return found


def _keep(kept: Path, lines: tuple[str, ...]) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=".resolved-", dir=kept.parent)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    Path(name).rename(kept)


def _key(lines: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join((this_python(), *lines)).encode()).hexdigest()
