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
    settings = network.Settings("small", channels=4, rate=0.003, epochs=3)
    whole, resumed = network.fit(*images(), settings, 7, tmp_path / "whole")
    assert resumed == 0
    save = network.save

    def die_after_two(file: Path, model: Any, optimizer: Any, epochs: int) -> None:
        save(file, model, optimizer, epochs)
        if epochs == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(network, "save", die_after_two)
    with pytest.raises(KeyboardInterrupt):
        network.fit(*images(), settings, 7, tmp_path / "cut")
    monkeypatch.setattr(network, "save", save)
    again, resumed = network.fit(*images(), settings, 7, tmp_path / "cut")
    assert resumed == 2
    assert all(np.allclose(whole[name], again[name], atol=1e-6) for name in whole)
    assert [file.suffix for file in (tmp_path / "cut").iterdir()] == [".pt"]


def test_other_data_has_a_checkpoint_of_its_own(network: Any, tmp_path: Path) -> None:
    settings = network.Settings("small", channels=4, rate=0.003, epochs=1)
    crops, labels = images()
    network.fit(crops, labels, settings, 7, tmp_path)
    _, resumed = network.fit(crops[::-1], labels[::-1], settings, 7, tmp_path)
    assert resumed == 0
    assert len(list(tmp_path.glob("*.pt"))) == 2


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
    assert list((tmp_path / "out/checkpoints").glob("*.pt"))
