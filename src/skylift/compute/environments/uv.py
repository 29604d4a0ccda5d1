"""The tool that resolves and installs: uv where there is one, else this Python's venv and pip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

_LONGEST_S = 3600
sysconfig.get_config_vars()
"""Read before there are threads: one that asks while another one reads them for the first time (before Python 3.13)
finds them half empty, and environments are made on threads."""


class ToolFailed(Exception):
    """It ended with an error; the message is what the tool itself said."""


@cache
def find_uv() -> str | None:
    """The uv program: of the Python package `uv`, else on PATH."""
    try:
        from uv import find_uv_bin
    except ImportError:
        return shutil.which("uv")
    try:
        return str(find_uv_bin())
    except FileNotFoundError:
        return shutil.which("uv")


def run_tool(
    command: Sequence[str],
    *,
    given: str = "",
    cwd: Path | None = None,
    withheld: Collection[str] = (),
    lock: int | None = None,
) -> str:
    """Its standard output. Raises ToolFailed with what it wrote to standard error.

    Building a package runs its code: it does not see the variables `withheld`. `lock`, an open file, is held until it
    has ended, also when we end before.
    """
    try:
        done = subprocess.run(
            command,
            input=given,
            cwd=cwd,
            env={name: value for name, value in _surroundings().items() if name not in withheld},
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=False,
            pass_fds=() if lock is None else (lock,),
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise ToolFailed(f"{command[0]} did not run: {problem}") from None
    if done.returncode != 0:
        raise ToolFailed(_said(done.stderr) or _said(done.stdout) or f"{command[0]} ended with {done.returncode}")
    return done.stdout


def _surroundings() -> dict[str, str]:
    """Ours without what would point the tool at another environment; it must not fetch interpreters either."""
    own = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON")
    return {
        **{name: value for name, value in os.environ.items() if name not in own},
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def _said(text: str) -> str:
    """Without blank lines and the marks in front of them, and without passwords in addresses."""
    text = re.sub(r"://[^/@\s]+@", "://…@", text)
    lines = [line.strip().removeprefix("error:").lstrip("×╰─▶│ ") for line in text.splitlines()]  # noqa: RUF001
    return "\n".join(line for line in lines if line)


def make_venv(folder: Path, lock: int | None = None) -> Path:
    """A virtual environment of this interpreter in an empty or missing folder; its python."""
    uv = find_uv()
    if uv is not None:
        run_tool([uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)], lock=lock)
    else:
        run_tool([sys.executable, "-m", "venv", str(folder)], lock=lock)
    return folder / "bin" / "python"


def install(python: Path, requirements: Path, withheld: Collection[str] = (), lock: int | None = None) -> None:
    """Install a requirements file into the environment of `python`."""
    uv = find_uv()
    command = [str(python), "-m", "pip", "install", "--no-input"]
    if uv is not None:
        command = [uv, "pip", "install", "--python", str(python)]
    run_tool([*command, "--quiet", "-r", str(requirements)], withheld=withheld, lock=lock)
