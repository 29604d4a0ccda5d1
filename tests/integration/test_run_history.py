"""What recent runs tell: samples of every delivery, and the ways that they took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import skylift.history
from skylift import pipeline, task
from skylift.config import load_config
from skylift.history import History, history_of, merged
from skylift.runtime import Runtime
from skylift.sdk.submission import document_submission, pipeline_submission


@task(memory="512 MiB")
def double(n: int) -> int:
    return 2 * n


@task(retry=1)
def fail_once(n: int) -> int:
    from skylift import attempt

    if attempt().number == 1:
        raise ValueError("once")
    return n


@pipeline
def inner(ns: list[int]) -> list[int]:
    return [double(n) for n in ns]


@pipeline
def told(ns: list[int]) -> int:
    total = 0
    doubled = inner(ns)
    while total < 3:
        total = total + double(1)
    if doubled[0] > 5:
        total = fail_once(total)
    return total


BATCHES = {
    "StartAt": "Each",
    "QueryLanguage": "JSONata",
    "States": {
        "Each": {
            "Type": "Map",
            "Items": "{% [1..5] %}",
            "ItemBatcher": {"MaxItemsPerBatch": 2},
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Done",
                "States": {"Done": {"Type": "Succeed"}},
            },
            "End": True,
        }
    },
}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    folder: Path = tmp_path_factory.mktemp("project")
    with Runtime(load_config(folder, environ={})) as made:
        yield made


@pytest.fixture(scope="module")
def history(runtime: Runtime) -> History:
    submission = pipeline_submission(told, runtime.blobs, runtime.config.home)
    for ns in ([1, 2, 3], [4]):
        assert runtime.execute(submission, {"ns": ns}).status == "SUCCEEDED"
    return history_of(runtime.reader, "told")


def test_every_delivery_is_a_sample(history: History) -> None:
    assert history.runs == 2
    nested = history.of_step("inner/double")
    assert [sample.ended for sample in nested] == ["succeeded"] * 4
    assert {sample.task for sample in nested} == {"double"}
    assert all(sample.duration_ms is not None and sample.peak_mib for sample in nested)
    assert len(history.of_task("double")) == 4 + 2 * 2
    assert [sample.ended for sample in history.of_step("fail_once")] == ["failed", "succeeded"]


def test_ways_are_counted_through_called_runs(history: History) -> None:
    newest, oldest = history.ways
    assert newest.widths == {"inner/double for n": (1,)} and oldest.widths == {"inner/double for n": (3,)}
    loops = {target: count for (source, target), count in oldest.transitions.items() if source.startswith("while")}
    assert sorted(loops.values()) == [1, 2], "twice round, once out"
    taken = [target for (source, target) in newest.transitions if source.startswith("if doubled")]
    assert taken == ["fail_once"]


def test_only_the_newest_and_the_recent_are_looked_at(
    runtime: Runtime, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert history_of(runtime.reader, "told", limit=1).runs == 1
    monkeypatch.setattr(skylift.history, "ENOUGH", 2)
    assert history_of(runtime.reader, "told").runs == 1, "what the newest run tells is enough"
    assert history_of(runtime.reader, "told", since_ms=2**50).runs == 0
    assert history_of(runtime.reader, "nobody") == History()
    assert merged([history, history]).runs == 4


def test_batches_are_what_a_distributed_map_starts(runtime: Runtime) -> None:
    submission = document_submission("batches", json.dumps(BATCHES).encode())
    assert runtime.execute(submission, {}).status == "SUCCEEDED"
    (way,) = history_of(runtime.reader, "batches").ways
    assert way.widths == {"Each": (3,)}
