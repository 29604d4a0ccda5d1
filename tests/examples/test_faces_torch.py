"""The PyTorch example on the processor: checkpoints, going on from them, the whole job in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra [torch] is not installed")
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples/faces_torch"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    import network

    return network


def images() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    labels = np.arange(96) % 2
    return (random.random((96, 25, 25)) * 0.5 + labels[:, None, None] * np.linspace(0, 0.5, 25)).astype(
        np.float32
    ), labels


def test_killed_training_ends_as_if_nothing_had_happened(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYLIFT_MTBF", "1ms")  # a checkpoint as often as can be
    settings = network.Settings("small", channels=4, rate=0.003, epochs=3)
    monkeypatch.setenv("SKYLIFT_HOME", str(tmp_path / "whole"))
    whole, resumed = network.fit(*images(), settings, 7)
    assert resumed == 0
    monkeypatch.setenv("SKYLIFT_HOME", str(tmp_path / "cut"))
    step, steps = torch.optim.AdamW.step, 0

    def die_at_the_fifth(self: Any, *arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 5:
            raise RuntimeError("killed")
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", die_at_the_fifth)
    with pytest.raises(RuntimeError, match="killed"):
        network.fit(*images(), settings, 7)
    again, resumed = network.fit(*images(), settings, 7)
    assert 0 < resumed <= 4
    assert all(np.array_equal(whole[name], again[name]) for name in whole)


def test_other_data_has_a_checkpoint_of_its_own(network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYLIFT_HOME", str(tmp_path))
    settings = network.Settings("small", channels=4, rate=0.003, epochs=1)
    crops, labels = images()
    network.fit(crops, labels, settings, 7)
    _, resumed = network.fit(crops[::-1], labels[::-1], settings, 7)
    assert resumed == 0


def test_on_spot_machines_that_are_taken_away_the_weights_are_the_same(tmp_path: Path) -> None:
    """Windows that grow: on however slow a machine, some are too short and one is long enough."""
    runs = [length for number in range(8) for length in (2 * 2**number, 1)]
    traces = tmp_path / "traces.json"
    traces.write_text(json.dumps({"traces": {"short": {"first": 1, "gap_seconds": 600, "runs": runs}}}))
    options = ["--traces", str(traces), "--trace", "short", "--epochs", "3", "--speed", "300"]
    done = subprocess.run(
        [sys.executable, str(FOLDER / "spot.py"), *options],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "weights are the same to the last bit" in done.stdout
    assert " preempted " in done.stdout
    assert "spot costs" in done.stdout


@pytest.mark.slow
def test_whole_job_in_small(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "skylift.cli", "run", str(FOLDER / "faces_torch.py"), "--json"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out"), "--epochs", "4", "--rounds", "1"],
        cwd=tmp_path,
        env={**os.environ, "SKYLIFT_HOME": str(tmp_path / "home"), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout)["output"]
    assert output["accuracy"] >= 0.8
    assert Path(output["model"]).stat().st_size > 0
    assert list((tmp_path / "home/checkpoints").rglob("saved.*"))
