"""The file of a plan: what is written is read, what is no plan or one for something else is refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skylift.placement.model import Limits, Priced, Step, Way
from skylift.placement.optimise import optimise
from skylift.ports.compute import Bought, Requirements
from skylift.ports.tasks import TaskSpec
from skylift.pricing.catalogue import catalogue
from skylift.quoting.ordering import OrderInvalid, order_of
from skylift.quoting.planfile import (
    PlanInvalid,
    check_offers,
    check_version,
    input_digest,
    plan_file,
    read_plan,
    version_of,
    write_plan,
)

GRAPH = b'{"StartAt": "train", "States": {"train": {"Type": "Succeed"}}}'
TASKS = {"train": TaskSpec(name="train", target="m:train", requirements=Requirements(gpu="V100"))}
PLACE = Bought(
    backend="simulated", service="batch", instance_type="p3.2xlarge", vcpus=8, memory_mib=62464, gpu="V100", gpus=1
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    way = Way(backend="simulated", service="batch", instance_type="p3.2xlarge", vcpus=8, memory_mib=62464)
    step = Step(name="train", offers=(Priced(offer=way, cost=1_000_000, time_s=60.0),))  # type: ignore[arg-type]
    plan = optimise([step], Limits())
    file = plan_file("faces", version_of(GRAPH, {}, TASKS), {"x": 1}, {"train": PLACE}, plan)  # type: ignore[arg-type]
    write_plan(file, tmp_path / "plan.json")
    return tmp_path / "plan.json"


def test_what_is_written_is_read(path: Path) -> None:
    file = read_plan(path)
    assert file.steps == {"train": PLACE}
    assert file.input == input_digest({"x": 1}) != input_digest({"x": 2})
    assert file.whole.totals.cost == 1_000_000 and file.whole.choices[0].step == "train"
    assert not path.with_name("plan.json.part").exists()
    check_version(file, "faces", version_of(GRAPH, {}, TASKS), "plan.json")


def test_the_order_of_keys_is_no_other_version() -> None:
    same = b'{"States": {"train": {"Type": "Succeed"}}, "StartAt": "train"}'
    assert version_of(same, {}, TASKS) == version_of(GRAPH, {}, TASKS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"definition": b'{"StartAt": "other"}'}, "its graph has changed"),
        ({"machines": {"trial": GRAPH}}, "the pipeline trial that it calls has changed"),
        ({"tasks": {}}, "task train is gone"),
        ({"tasks": {**TASKS, "test": TASKS["train"]}}, "task test is new"),
        ({"tasks": {"train": TaskSpec(name="train", target="m:train")}}, "task train asks for something else now"),
    ],
)
def test_another_version_is_refused_by_content(path: Path, change: dict[str, Any], says: str) -> None:
    given = {"definition": GRAPH, "machines": {}, "tasks": TASKS, **change}
    with pytest.raises(PlanInvalid, match=says) as raised:
        check_version(read_plan(path), "faces", version_of(**given), "plan.json")
    assert raised.value.hint == "make the plan again: skylift plan"


def test_the_code_of_a_task_may_change(path: Path) -> None:
    changed = {"train": msgspec.structs.replace(TASKS["train"], fingerprint="other")}
    check_version(read_plan(path), "faces", version_of(GRAPH, {}, changed), "plan.json")


def test_a_plan_of_another_pipeline_is_refused(path: Path) -> None:
    with pytest.raises(PlanInvalid, match="a plan of 'faces', and this is 'data'"):
        check_version(read_plan(path), "data", version_of(GRAPH, {}, TASKS), "plan.json")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("garbage", "is no plan"),
        ({"format": "other"}, "its format is 'other'"),
        ({"version": 7}, "a plan of version 7"),
        ({"surprise": 1}, "unknown field `surprise`"),
        ({"steps": {"train": {"backend": "simulated"}}}, r"missing required field `service`.*\$.steps"),
        ({"steps": {"train": {**msgspec.to_builtins(PLACE), "market": "stolen"}}}, "Invalid enum value 'stolen'"),
        ({"steps": {"train": {**msgspec.to_builtins(PLACE), "vcpus": "many"}}}, "Expected `float`"),
    ],
)
def test_what_is_no_plan_is_refused(path: Path, change: Any, says: str) -> None:
    content = json.loads(path.read_text())
    path.write_text(change if isinstance(change, str) else json.dumps({**content, **change}))
    with pytest.raises(PlanInvalid, match=says):
        read_plan(path)


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PlanInvalid, match="cannot be read: No such file"):
        read_plan(tmp_path / "none.json")


# Orders --------------------------------------------------------------------------------------------------------------


def test_an_order_without_words_is_said_so() -> None:
    order = order_of(catalogue())
    assert (order.limits.regions, order.limits.clouds, order.limits.confidence) == (("us-east-1",), ("aws",), 0.9)
    assert (order.limits.deadline_s, order.limits.budget, order.backends) == (None, None, ("simulated",))


def test_the_settings_say_the_usual_region() -> None:
    assert order_of(catalogue(), region="eu-west-1").limits.regions == ("eu-west-1",)
    assert order_of(catalogue(), region="eu-west-1", regions=("us-*",)).limits.regions == ("us-*",)


def test_other_clouds_have_regions_of_their_own() -> None:
    assert order_of(catalogue(), clouds=("gcp",)).limits.regions == ("*",)
    assert order_of(catalogue(), clouds=("aws,gcp",)).limits.clouds == ("aws", "gcp")


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        ({"regions": ("eu-wset-1",)}, "--regions 'eu-wset-1'", "did you mean eu-west-1?"),
        ({"regions": ("mars-*",)}, "no region of aws", "there are:"),
        ({"clouds": ("azur",)}, "--clouds 'azur'", "did you mean azure?"),
        ({"services": ("lambda",)}, "--services 'lambda'", "did you mean function?"),
        ({"markets": ("spt",)}, "--markets 'spt'", "did you mean spot?"),
        ({"types": ("inf1.large",)}, "--types 'inf1.large'", "did you mean inf1.xlarge?"),
        ({"backends": ("proces",)}, "--on 'proces'", "did you mean process?"),
        ({"confidence": "0.3"}, "--confidence '0.3'", "write 0.9"),
        ({"confidence": "sure"}, "--confidence 'sure'", "write 0.9"),
        ({"data_at": "us-east-1"}, "--data-at 'us-east-1'", "write --data-at aws:us-east-1"),
        ({"data_at": "aws:us-east-9"}, "--data-at 'us-east-9'", "did you mean"),
        ({"objective": "glory"}, "neither cost nor time", None),
    ],
)
def test_words_that_mean_nothing(words: dict[str, Any], says: str, hint: str | None) -> None:
    with pytest.raises(OrderInvalid) as raised:
        order_of(catalogue(), **words)
    assert says in raised.value.message
    assert hint is None or hint in (raised.value.hint or "")


def test_an_edited_plan_is_refused_and_a_rewritten_one_is_not(path: Path) -> None:
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found))
    assert read_plan(path).steps == {"train": PLACE}
    for change in (
        lambda file: file["steps"]["train"].update(instance_type="p3.8xlarge"),
        lambda file: file["steps"].pop("train"),
        lambda file: file["plan"]["totals"].update(cost="1"),
        lambda file: file["plan"].update(choices=[]),
        lambda file: file["made_for"].update(tasks={}),
        lambda file: file.update(digest="0" * 64),
    ):
        edited = json.loads(json.dumps(found))
        change(edited)
        path.write_text(json.dumps(edited))
        with pytest.raises(PlanInvalid, match="something in it was changed"):
            read_plan(path)


def test_what_is_no_longer_offered_is_named(path: Path) -> None:
    file = read_plan(path)
    asked: list[Requirements] = []

    def offers(backend: str, needs: Requirements) -> list[Any]:
        asked.append(needs)
        return []

    with pytest.raises(PlanInvalid, match=r"plan.json has batch p3.2xlarge .* for train, and simulated does not offer"):
        check_offers(file, offers, ("simulated",), "plan.json")
    assert asked[0].place == PLACE and asked[0].gpu == "V100:1"
    with pytest.raises(PlanInvalid, match="simulated does not offer"):
        check_offers(file, offers, ("process",), "plan.json")
    assert len(asked) == 1, "a backend that there is not is not asked"
    check_offers(file, lambda backend, needs: [object()], ("simulated",), "plan.json")  # type: ignore[list-item]
