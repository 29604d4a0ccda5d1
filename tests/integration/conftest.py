"""A project folder and the command line in it, for the end-to-end tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


class Project:
    """A folder with pipelines, and `skylift` called in it as a user would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, *arguments: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "skylift.cli", *arguments],
            cwd=self.folder,
            env=self.environment(env),
            text=True,
            start_new_session=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def call(self, *arguments: str, timeout: float = 120, **options: Any) -> subprocess.CompletedProcess[str]:
        """Never lets a traceback or a hang pass."""
        process = self.start(*arguments, **options)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        assert "Traceback" not in (err or ""), err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def python(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment(None),
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
        )

    def environment(self, extra: dict[str, str] | None) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SKYLIFT_")}
        return {**kept, "COLUMNS": "100", "NO_COLOR": "1", **(extra or {})}


@pytest.fixture
def folder(tmp_path: Path) -> Project:
    """An empty project."""
    return Project(tmp_path)
