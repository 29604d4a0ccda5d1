"""A run that a timeout ended says which step it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PIPELINE = """
import time
from skylift import pipeline, task

@task(timeout="500ms")
def sleepy() -> int:
    time.sleep(60)
    return 1

@pipeline
def late() -> int:
    return sleepy()
"""


def test_the_step_and_how_long_it_took(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(PIPELINE)
    command = [str(Path(sys.executable).with_name("skylift")), "run", "late.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "error[States.Timeout]: sleepy took longer than its timeout: attempt 1 was ended after" in done.stderr
