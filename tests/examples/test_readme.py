"""The README's first example, typed in as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_first_example_and_its_commands(tmp_path: Path) -> None:
    blocks = BLOCK.findall(README.read_text(encoding="utf-8"))
    program = next(text for language, text in blocks if language == "python")
    (tmp_path / "first.py").write_text(program, encoding="utf-8")
    shell = next(text for language, text in blocks if language == "sh")
    commands = [line.partition("#")[0].split() for line in shell.splitlines() if line]
    assert [command[:2] for command in commands] == [["skylift", verb] for verb in ("run", "runs", "show", "graph")]
    run, runs, show, graph = commands
    printed = _typed(tmp_path, run)
    assert printed.splitlines()[-1] == "38416"
    first = _typed(tmp_path, runs).split()[0]
    assert "square" in _typed(tmp_path, [first if word == "RUN" else word for word in show])
    assert "square" in _typed(tmp_path, graph)


def _typed(folder: Path, command: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "skylift.cli", *command[1:]],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith("SKYLIFT_")},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
