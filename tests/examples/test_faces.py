"""The main job, as `make demo` runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("skl2onnx", reason="the extra [ml] is not installed")
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_main_job_finds_the_face(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "skylift.cli", "run", str(ROOT / "examples/faces/faces.py"), "--json"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        cwd=tmp_path,
        env={**os.environ, "SKYLIFT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout)["output"]
    assert output["accuracy"] >= 0.9
    assert output["interval"][0] < output["accuracy"] <= output["interval"][1]
    assert output["faces"] == 1
    for name in ("model", "card", "picture"):
        assert Path(output[name]).stat().st_size > 0
    card = Path(output["card"]).read_text(encoding="utf-8")
    assert "broken" in card
    assert "The 'alpha' parameter" in card
