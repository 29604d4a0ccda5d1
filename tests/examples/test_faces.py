"""The main job, as `make demo` runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skl2onnx", reason="the extra [ml] is not installed")
ROOT = Path(__file__).parents[2]


def test_features_of_a_window_are_those_of_its_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples/faces"))
    monkeypatch.delitem(sys.modules, "vision", raising=False)
    import vision

    random = np.random.default_rng(1)
    picture = random.integers(0, 255, (90, 120)).astype(np.uint8)
    for view in vision.views(picture, smallest=26):
        assert view.features().shape == (len(view), vision.FEATURES)
        assert np.allclose(view.features(), vision.hog(view.crops()), atol=1e-4)
        assert view.boxes()[:, 2:].max() <= 121


def test_faces_pasted_into_a_picture_lie_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples/faces"))
    monkeypatch.delitem(sys.modules, "vision", raising=False)
    import vision

    picture, boxes = vision.scene(np.zeros((240, 350), np.uint8), np.ones((4, 25, 25)), np.random.default_rng(1))
    assert len(boxes) == 4
    for left, top, right, bottom in boxes.astype(int):
        assert picture[(top + bottom) // 2, (left + right) // 2] == 255
        assert picture[max(0, top - 1), max(0, left - 1)] == 0
    exact = [vision.Box(*map(int, box), 5.0) for box in boxes[:2]]
    assert vision.strengths(exact, boxes) == [5.0, 5.0, 0.0, 0.0]


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
    middles = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom, _ in output["faces"]]
    assert sum(170 < x < 275 and 55 < y < 190 for x, y in middles) == 1
    assert len(middles) <= 2
    assert output["false_boxes"] <= 1
    for name in ("model", "card", "picture"):
        assert Path(output[name]).stat().st_size > 0
    card = Path(output["card"]).read_text(encoding="utf-8")
    assert "broken" in card
    assert "The 'alpha' parameter" in card
