"""The guide as a reader follows it: its files are written, its commands are run, what they print is compared.

A code block after a line that ends in `` `name`: `` is that file. A `console` block holds commands (`$ …`) and what
they print; `…` stands for anything, on a line of its own for any number of lines. A page's blocks share a folder. The
page for writers of backends is read the same way.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs" / "guide").glob("*.md")), ROOT / "docs" / "reference" / "backend.md"]
BLOCK = re.compile(r"^(?:[^\n]*`([\w./-]+)`:\n\n)?```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MARK = "=== command {} ==="
SECONDS = 300
KILLED = re.compile(r"^bash: line \d+: +\d+ Killed .*\n", re.MULTILINE)
"""What a shell that runs a script says of a job, and a shell that a person types into says later."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    _skip_without_commands("".join(text for _, language, text in blocks if language == "console"))
    for name, language, text in blocks:
        if name:
            file = _where(tmp_path) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        elif language == "console":
            _check_block(text, tmp_path)


def _where(folder: Path) -> Path:
    """Where the reader stands after the blocks so far."""
    told = folder / ".where"
    return Path(told.read_text(encoding="utf-8").rstrip("\n")) if told.exists() else folder


def _skip_without_commands(consoles: str) -> None:
    """Loops that wait for an answer of theirs would never end."""
    if re.search(r"\bcurl\b", consoles) and "--json" not in _help_of_curl():
        pytest.skip("the page uses curl 7.82 or newer, which is not installed")


@functools.cache
def _help_of_curl() -> str:
    if shutil.which("curl") is None:
        return ""
    return subprocess.run(["curl", "--help", "all"], capture_output=True, text=True, check=False).stdout


def _check_block(text: str, folder: Path) -> None:
    commands, expected = _split(text)
    printed = list(_run(commands, folder))
    for command, wanted, found in zip(commands, expected, printed, strict=True):
        assert _pattern(wanted).fullmatch(found.rstrip() + "\n"), f"$ {command}\n{found}\n--- the page says:\n{wanted}"


def _split(text: str) -> tuple[list[str], list[str]]:
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not parts[0], f"a console block begins with a command: {text[:80]!r}"
    commands = [part.partition("\n")[0] for part in parts[1:]]
    return commands, [part.partition("\n")[2] for part in parts[1:]]


def _run(commands: list[str], folder: Path) -> Iterator[str]:
    """What each command prints, in one shell, so that `$!` and variables last."""
    script = "\n".join(f"echo '{MARK.format(number)}'\n{command}" for number, command in enumerate(commands))
    script += f"\npwd > {shlex.quote(str(folder / '.where'))}"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SKYLIFT_", "PYTEST_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    output = folder / ".output"
    with output.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=_where(folder),
            env={**kept, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONPATH": ""},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"not done after {SECONDS} s:\n{output.read_text(encoding='utf-8')}")
        finally:
            _end_session(process.pid)
    text = KILLED.sub("", output.read_text(encoding="utf-8"))
    for number in range(len(commands)):
        start = text.index(MARK.format(number)) + len(MARK.format(number)) + 1
        end = text.find(MARK.format(number + 1))
        yield text[start : end if end >= 0 else None]


def _end_session(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _pattern(wanted: str) -> re.Pattern[str]:
    """`…` alone on a line is any lines, also none; within a line it is any text."""
    lines = ["(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in wanted.splitlines()]
    return re.compile("".join(lines) or r"\n")
