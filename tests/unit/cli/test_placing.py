"""`--on`: which places there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from skylift.cli.placing import PlacementInvalid, check_tasks, keeping, kept_nowhere, placement
from skylift.config import load_config
from skylift.ports.tasks import TaskSpec

ARN = "arn:aws:states:us-east-1:123456789012:activity:gpu-box"


def test_an_activity_is_a_place() -> None:
    assert placement(["train=activity:gpu-box", "process"]) == {"on.train": "activity:gpu-box", "on": "process"}
    assert placement([f"activity:{ARN}"]) == {"on": f"activity:{ARN}"}


@pytest.mark.parametrize(
    "place", ["activity:", "train=activity", "activity:a b", "activity:" + "x" * 81, "activity:a:b"]
)
def test_what_is_no_name_of_an_activity(place: str) -> None:
    with pytest.raises(PlacementInvalid) as caught:
        placement([place])
    assert repr(place) in caught.value.message
    assert "activity:" in (caught.value.hint or "")


def tasks_of(**on: str | None) -> dict[str, TaskSpec]:
    return {name: TaskSpec(name=name, target=f"m:{name}", on=place) for name, place in on.items()}


def refused(attributes: dict[str, str], tasks: dict[str, TaskSpec], **settings: object) -> str:
    config = replace(load_config(Path("/"), environ={}), **settings)
    with pytest.raises(PlacementInvalid) as caught:
        check_tasks(attributes, tasks, config)
    return f"{caught.value.message}; {caught.value.hint}"


def test_a_task_that_the_run_does_not_have() -> None:
    tasks = tasks_of(train=None, load=None)
    told = refused({"on.trian": "ray"}, tasks)
    assert "--on trian=ray" in told and "did you mean train?" in told
    assert "its tasks are: load, train" in refused({"on.x": "ray"}, tasks)


def test_places_of_the_settings_and_the_tasks_are_looked_at_before_the_run() -> None:
    told = refused({}, tasks_of(train=None), placement={"train": "contaner"}, source=Path("skylift.toml"))
    assert "skylift.toml: [placement] train = 'contaner'" in told and "did you mean container?" in told
    assert "task train: on='moon'" in refused({}, tasks_of(train="moon"))


def test_what_suits_is_not_refused() -> None:
    config = replace(load_config(Path("/"), environ={}), placement={"*": "batch", "of_another_pipeline": "ray"})
    check_tasks({"on.train": "container", "on": "process"}, tasks_of(train="activity:gpu-box"), config)
    elsewhere = replace(config, url="https://skylift.example.org", placement={"train": "theirs"})
    check_tasks({}, tasks_of(train="theirs"), elsewhere)
    check_tasks({"on.anything": "ray"}, {}, config)  # a document: its tasks are known by resource


def test_whoever_keeps_places_where_that_cannot_be_is_told() -> None:
    config = replace(load_config(Path("/"), environ={}), placement={"train": "batch"})
    tasks = tasks_of(train=None, load=None)
    told = kept_nowhere(keeping("30m"), tasks, config)
    assert told == "--keep-on-failure: batch, process cannot keep places; run steps with --on container"
    assert kept_nowhere({**keeping("30m"), "on.load": "container"}, tasks, config) is None
    assert kept_nowhere({}, tasks, config) is None
