"""A throw-away virtual environment for each peer, made by uv from `requirements/NAME.txt`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from bench.registry import System

HERE = Path(__file__).resolve().parent
VENVS = HERE / ".venvs"
MOST_S = 600


class NotInstalled(Exception):
    """A peer cannot be installed here, and why in one line."""


def interpreter(system: System) -> str:
    """The Python that has the system; a peer's environment is made first if it is not there. Raises NotInstalled."""
    if not system.is_peer:
        return sys.executable
    venv = VENVS / system.name
    python = venv / "bin" / "python"
    stamp = venv / ".installed"
    wanted = _key(system)
    if stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    _install(system, venv, python)
    stamp.write_text(wanted)
    return str(python)


def version(system: System) -> str:
    """Of the package that is measured; Python's for what comes with it."""
    if system.package is None:
        return "Python " + sys.version.split()[0]
    ask = f"import importlib.metadata as m; print(m.version({system.package!r}))"
    told = subprocess.run([interpreter(system), "-c", ask], capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def _key(system: System) -> str:
    text = sys.version + "".join(path.read_text() for path in _files(system))
    return hashlib.sha256(text.encode()).hexdigest()


def _files(system: System) -> list[Path]:
    folder = HERE / "requirements"
    overrides = folder / f"{system.name}.overrides.txt"
    return [folder / f"{system.name}.txt", *([overrides] if overrides.exists() else [])]


def _install(system: System, venv: Path, python: Path) -> None:
    requirements, *overrides = map(str, _files(system))
    uv = Path(sys.executable).with_name("uv")
    tool = str(uv) if uv.exists() else shutil.which("uv")
    if tool is None:
        raise NotInstalled("uv is missing: make setup installs it")
    extra = [part for path in overrides for part in ("--override", path)]
    _do([tool, "venv", "--quiet", "--clear", "--python", sys.executable, str(venv)])
    _do([tool, "pip", "install", "--quiet", "--python", str(python), "-r", requirements, *extra])


def _do(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MOST_S)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"its installation took longer than {MOST_S} s") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise NotInstalled("it cannot be installed here: " + (lines[-1] if lines else f"exit status {done.returncode}"))
