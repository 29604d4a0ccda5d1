"""SageMaker's container contract: what files and variables say, channels by prefix, checkpoints that come and go."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import fsspec
import pytest

from skylift.compute.jobs.program import run
from skylift.compute.jobs.training_checkpoints import CheckpointSync
from skylift.compute.jobs.training_folders import IN_CONTAINER, TrainingFolders, fetch_all
from skylift.compute.worker import current
from skylift.errors import SetupError
from skylift.testing.backend_harness import until


def channel(data: Path, name: str = "train", **more: Any) -> dict[str, Any]:
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3Uri": f"file://{data}"}}, **more}


def folders(tmp_path: Path, **parameters: Any) -> TrainingFolders:
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "points").write_text("1")
    return TrainingFolders(tmp_path / "ml", parameters)


def config(made: TrainingFolders, name: str) -> Any:
    return json.loads((made.root / "input" / "config" / name).read_text())


def test_files_hold_texts_and_variables_what_they_stand_for(tmp_path: Path) -> None:
    """Hyperparameters as the service's SDK writes them: JSON in texts."""
    made = folders(tmp_path, HyperParameters={"epochs": "6", "optimizer": '"adam"', "name": "x y", "n": 3, "a=b": "1"})
    made.prepare()
    assert config(made, "hyperparameters.json")["optimizer"] == '"adam"'
    assert config(made, "hyperparameters.json")["n"] == "3"
    told = made.variables()
    assert json.loads(told["SM_HPS"]) == {"epochs": 6, "optimizer": "adam", "name": "x y", "n": 3, "a=b": 1}
    assert (told["SM_HP_EPOCHS"], told["SM_HP_OPTIMIZER"], told["SM_HP_NAME"]) == ("6", "adam", "x y")
    assert json.loads(told["SM_USER_ARGS"])[-2:] == ["--optimizer", "adam"]
    assert int(told["SM_NUM_GPUS"]) >= 0 and int(told["SM_NUM_CPUS"]) >= 1
    assert not [name for name in told if "=" in name]


def test_a_channel_says_what_the_state_says_and_no_more(tmp_path: Path) -> None:
    data = tmp_path / "data"
    channels = [channel(data), channel(data, "test", ContentType="text/csv", InputMode="File")]
    made = folders(tmp_path, InputDataConfig=channels, AlgorithmSpecification={"TrainingInputMode": "FastFile"})
    made.prepare()
    found = config(made, "inputdataconfig.json")
    assert found["train"] == {
        "TrainingInputMode": "FastFile",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    assert (found["test"]["ContentType"], found["test"]["TrainingInputMode"]) == ("text/csv", "File")
    assert json.loads(made.variables()["SM_INPUT_DATA_CONFIG"]) == found
    assert (tmp_path / "ml/input/data/test/points").read_text() == "1"


def test_the_resources_name_the_one_host_and_its_group(tmp_path: Path) -> None:
    made = folders(tmp_path, ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1})
    made.prepare()
    group = {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.large", "hosts": ["algo-1"]}
    assert config(made, "resourceconfig.json")["instance_groups"] == [group]


@pytest.mark.parametrize(
    ("more", "kind", "named"),
    [({"InputMode": "Pipe"}, "S3Prefix", "Pipe"), ({}, "ManifestFile", "ManifestFile")],
)
def test_ways_of_data_that_do_not_exist_here_are_refused(
    tmp_path: Path, more: dict[str, Any], kind: str, named: str
) -> None:
    """The program would wait for a pipe, or take the manifest for its data."""
    one = channel(tmp_path / "data", **more)
    one["DataSource"]["S3DataSource"]["S3DataType"] = kind
    with pytest.raises(SetupError, match=f"'train'.*{named}"):
        folders(tmp_path, InputDataConfig=[one]).prepare()


def test_a_prefix_is_what_keys_begin_with(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("train-1.csv", "train-2.csv", "training/deep.csv", "other.csv"):
        memory.pipe(f"/prefixes/{name}", b"x")
    fetch_all("memory://prefixes/train-", tmp_path / "narrow")
    assert sorted(path.name for path in (tmp_path / "narrow").iterdir()) == ["train-1.csv", "train-2.csv"]
    fetch_all("memory://prefixes/train", tmp_path / "wide")
    assert (tmp_path / "wide/training/deep.csv").exists() and (tmp_path / "wide/train-1.csv").exists()
    with pytest.raises(FileNotFoundError):
        fetch_all("memory://prefixes/nothing", tmp_path / "none")


def test_a_folder_of_this_machine_is_not_a_prefix_of_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "allowed-not").mkdir()
    (tmp_path / "allowed-not" / "secret").write_text("x")
    with pytest.raises(FileNotFoundError):
        fetch_all(f"file://{tmp_path / 'allowed'}", tmp_path / "in")


class Vanishing(CheckpointSync):
    """Sees, as a look may, a file that its program takes away in that moment."""

    def _look(self) -> dict[str, tuple[int, int]]:
        return {"a-gone": (1, 1), **super()._look()}


def test_checkpoints_that_are_taken_away_meanwhile_stop_nothing(tmp_path: Path) -> None:
    made = folders(tmp_path)
    with Vanishing(made, {"S3Uri": f"file://{tmp_path / 'saved'}"}):
        (made.checkpoints / "step-2").write_text("x")
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["step-2"]


def test_a_place_for_checkpoints_that_takes_nothing_is_told_and_ends_no_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = folders(tmp_path)
    (tmp_path / "file").write_text("no folder")
    with CheckpointSync(made, {"S3Uri": f"file://{tmp_path / 'file' / 'saved'}"}) as sync:
        (made.checkpoints / "step-1").write_text("x")
        sync.store_new()
    assert capsys.readouterr().err.count("step-1 could not be stored") == 1


def test_a_folder_outside_is_refused_in_a_container() -> None:
    """What a program writes there would never be stored."""
    inside = TrainingFolders(IN_CONTAINER, {})
    assert CheckpointSync(inside, {"LocalPath": "/opt/ml/checkpoints/mine"})
    with pytest.raises(SetupError, match="/tmp/mine"):
        CheckpointSync(inside, {"LocalPath": "/tmp/mine"})


class Warner(threading.Thread):
    """Says that the machine is taken away, once the program is up."""

    def __init__(self, up: Path, now: current.Attempt) -> None:
        super().__init__()
        self._up = up
        self._now = now

    def run(self) -> None:
        until(self._up.exists)
        current.warn(120, self._now)


@pytest.mark.parametrize("status", [0, 3])
def test_a_program_that_ends_when_its_machine_goes_is_preempted_whatever_it_says(tmp_path: Path, status: int) -> None:
    """It may have saved a checkpoint and left: its work is not done."""
    up = tmp_path / "up"
    script = f'trap "exit {status}" TERM; touch {up}; while :; do sleep 0.05; done'
    now = current.Attempt(token="t", run_id="r", task="x", label="x", number=1)
    current.enter(now, process_wide=False)
    try:
        warner = Warner(up, now)
        warner.start()
        with pytest.raises(current.Preempted):
            run(["sh", "-c", script], {})
        warner.join()
    finally:
        current.enter(None, process_wide=False)
