"""Distributed Map: pages, batches, tolerance, writers, child executions."""

from typing import Any

import pytest

from skylift.asl import commands, events
from skylift.asl.limits import LOCAL
from skylift.asl.machine import Machine
from skylift.asl.parse import load
from skylift.asl.state import decode_state, encode_state
from skylift.testing.virtual import VirtualRun

READER = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "JSON"},
    "Arguments": {"Bucket": "b"},
}
WRITER = {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b", "Prefix": "p"}}


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "reraise", True)


def machine(**more: object) -> Any:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "T",
        "States": {"T": {"Type": "Task", "Resource": "arn:aws:states:::skylift:work", "End": True}},
    }
    state = {"Type": "Map", "Label": "L", "ItemProcessor": processor, "End": True, **more}
    language = state.pop("QueryLanguage", "JSONata")
    return load({"QueryLanguage": language, "StartAt": "M", "States": {"M": state}})


def work(item: object) -> object:
    if item == "bad":
        raise ValueError("bad item")
    return item


def pages(total: int, size: int) -> Any:
    def read(command: commands.Command) -> events.Event:
        assert isinstance(command, commands.ReadItems)
        first = command.cursor or 0
        last = min(first + min(size, command.limit), total)
        items = list(range(first, last))
        return events.ItemsRead(reader=command.reader, items=items, cursor=last if last < total else None)

    return read


def test_pages_never_pile_up() -> None:
    run = VirtualRun(machine(ItemReader=READER, MaxConcurrency=10), {"work": work}, reader=pages(5_000, 1_000))
    most = 0
    run.start({})
    while run.step():
        frame = run.state.frames.get(1)
        if frame is not None and frame.fan is not None and frame.fan.map_run is not None:
            most = max(most, len(frame.fan.map_run.items))
            assert len(run.state.frames) <= 11
    assert run.status == "SUCCEEDED"
    assert run.output == list(range(5_000))
    assert most <= 2_000


def test_max_items() -> None:
    reader = {**READER, "ReaderConfig": {"InputType": "JSON", "MaxItems": 7}}
    run = VirtualRun(machine(ItemReader=reader), {"work": work}, reader=pages(100, 3)).run({})
    assert run.output == list(range(7))


def test_batches_by_count_and_bytes() -> None:
    batcher = {"MaxItemsPerBatch": 3, "BatchInput": {"k": 1}}
    run = VirtualRun(machine(ItemBatcher=batcher), {"work": work}).run([1, 2, 3, 4])
    assert run.output == [{"BatchInput": {"k": 1}, "Items": [1, 2, 3]}, {"BatchInput": {"k": 1}, "Items": [4]}]
    run = VirtualRun(machine(ItemBatcher={"MaxInputBytesPerBatch": 8}), {"work": work}).run(["aaa", "bbb", "c"])
    assert run.output == [{"Items": ["aaa"]}, {"Items": ["bbb"]}, {"Items": ["c"]}]


def test_failures_beyond_the_tolerated() -> None:
    run = VirtualRun(machine(), {"work": work}).run(["a", "bad", "c"])
    assert (run.status, run.error) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    assert run.event_types[-3:] == ["MapRunFailed", "MapStateFailed", "ExecutionFailed"]


def test_tolerated_failures_are_left_out() -> None:
    for tolerance in ({"ToleratedFailureCount": 1}, {"ToleratedFailurePercentage": 34}):
        run = VirtualRun(machine(**tolerance), {"work": work}).run(["a", "bad", "c"])
        assert (run.status, run.output) == ("SUCCEEDED", ["a", "c"])
        assert len(run.state.frames) == 0


def test_children_have_histories_of_their_own() -> None:
    run = VirtualRun(machine(), {"work": work}).run(["a", "b"])
    assert run.event_types[2:-1] == [
        "MapStateStarted",
        "MapRunStarted",
        "MapRunSucceeded",
        "MapStateSucceeded",
        "MapStateExited",
    ]
    names = {event.child for event in run.history} - {None}
    assert len(names) == 2
    for name in names:
        own = [event for event in run.history if event.child == name]
        assert [event.id for event in own] == list(range(1, len(own) + 1))
        assert (own[0].type, own[-1].type) == ("ExecutionStarted", "ExecutionSucceeded")


def test_writer_gets_results_by_parts() -> None:
    parts: list[commands.WriteResults] = []

    def write(command: commands.Command) -> events.Event:
        assert isinstance(command, commands.WriteResults)
        parts.append(command)
        return events.ResultsWritten(writer=command.writer, details={"Bucket": "b", "Key": "p/manifest.json"})

    document = machine(ItemReader=READER, ResultWriter=WRITER)
    run = VirtualRun(document, {"work": work}, reader=pages(2_500, 1_000), writer=write).run({})
    assert run.status == "SUCCEEDED"
    assert run.output["ResultWriterDetails"] == {"Bucket": "b", "Key": "p/manifest.json"}
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [part.part for part in parts] == list(range(len(parts)))
    assert sum(len(part.results) for part in parts) == 2_500
    assert max(len(part.results) for part in parts) <= 2 * LOCAL.page_items


def test_redrive_tries_failed_children_again() -> None:
    broken = {"bad"}

    def unsteady(item: object) -> object:
        if item in broken:
            raise ValueError(item)
        return item

    run = VirtualRun(machine(), {"work": unsteady}).run(["a", "bad", "c"])
    assert run.status == "FAILED"
    broken.clear()
    run.take(events.RedriveRequested())
    run.go_on()
    assert (run.status, run.output) == ("SUCCEEDED", ["a", "bad", "c"])
    assert "MapRunRedriven" in run.event_types


def test_update_of_a_map_run_takes_effect() -> None:
    run = VirtualRun(machine(MaxConcurrency=1), {"work": work})
    run.start(["a", "b", "c", "d"])
    assert len(list(run.state.pending())) == 1
    arn = next(event.details["mapRunArn"] for event in run.history if event.type == "MapRunStarted")
    assert arn.rpartition(":")[0].endswith(":mapRun:machine/L")
    run.take(events.MapRunUpdated(map_run=arn, max_concurrency=3))
    assert len(list(run.state.pending())) == 3
    assert run.go_on().output == ["a", "b", "c", "d"]


def test_state_survives_encoding_at_every_event() -> None:
    document = machine(ItemReader=READER, MaxConcurrency=3, ItemBatcher={"MaxItemsPerBatch": 2})
    run = VirtualRun(document, {"work": work}, reader=pages(20, 6))
    run.start({})
    run.state = decode_state(encode_state(run.state))
    while run.step():
        run.state = decode_state(encode_state(run.state))
    assert [item for batch in run.output for item in batch["Items"]] == list(range(20))


def test_reader_and_writer_failures() -> None:
    def fail(command: commands.Command) -> events.Event:
        assert isinstance(command, commands.ReadItems)
        return events.ItemsReadFailed(reader=command.reader, error="States.ItemReaderFailed", cause="no such file")

    run = VirtualRun(machine(ItemReader=READER), {"work": work}, reader=fail).run({})
    assert (run.status, run.error, run.cause) == ("FAILED", "States.ItemReaderFailed", "no such file")
    run.take(events.RedriveRequested())
    assert len(list(run.state.pending())) == 1


def test_every_field_of_an_item_reader_from_paths_and_expressions() -> None:
    asked: list[commands.ReadItems] = []

    def read(command: commands.Command) -> events.Event:
        assert isinstance(command, commands.ReadItems)
        asked.append(command)
        return events.ItemsRead(reader=command.reader, items=["a", "b", "c", "d"], cursor=None)

    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "MaxItemsPath": "$.n"},
        "Parameters": {"Bucket.$": "$.bucket", "Key": "k", "VersionId.$": "$.v"},
    }
    document = machine(ItemReader=reader, QueryLanguage="JSONPath")
    run = VirtualRun(document, {"work": work}, reader=read).run({"n": 3, "bucket": "b", "v": "1"})
    assert run.output == ["a", "b", "c"]
    config = {
        "InputType": "{% $states.input.kind %}",
        "CSVHeaders": "{% $states.input.headers %}",
        "CSVHeaderLocation": "GIVEN",
        "MaxItems": "{% $states.input.n %}",
    }
    reader = {**READER, "ReaderConfig": config, "Arguments": "{% {'Bucket': $states.input.bucket, 'Key': 'k'} %}"}
    given = {"n": 2, "bucket": "b", "kind": "CSV", "headers": ["h"]}
    run = VirtualRun(machine(ItemReader=reader), {"work": work}, reader=read).run(given)
    assert run.output == ["a", "b"]
    first, second = asked
    assert first.arguments == {"Bucket": "b", "Key": "k", "VersionId": "1"}
    assert second.arguments == {"Bucket": "b", "Key": "k"}
    assert {key: second.config[key] for key in ("InputType", "CSVHeaders")} == {"InputType": "CSV", "CSVHeaders": ["h"]}


@pytest.mark.parametrize(
    ("reader", "source"),
    [
        (None, "STATE_DATA"),
        ({**READER, "Arguments": {"Bucket": "b", "Key": "in/a.json"}}, "s3://b/in/a.json"),
        ({**READER, "Arguments": {"Bucket": "./data", "Key": "a.json"}}, "./data/a.json"),
        ({"Resource": "arn:aws:states:::s3:listObjectsV2", "Arguments": {"Bucket": "b", "Prefix": "in/"}}, "s3://b"),
    ],
)
def test_the_item_selector_sees_index_value_and_source(reader: Any, source: str) -> None:
    selector = {"item": "{% $states.context.Map.Item %}"}
    more = {"Items": [0, 1, 2]} if reader is None else {"ItemReader": reader}
    run = VirtualRun(machine(ItemSelector=selector, **more), {"work": work}, reader=pages(3, 2)).run({})
    assert run.output == [{"item": {"Index": n, "Value": n, "Source": source}} for n in range(3)]


def test_every_field_of_an_item_batcher_from_paths_and_expressions() -> None:
    items = ["aaaa", "bbbb", "cccc"]
    batcher = {"MaxItemsPerBatchPath": "$.two", "BatchInput": {"k.$": "$.k"}}
    document = machine(ItemBatcher=batcher, QueryLanguage="JSONPath", ItemsPath="$.l")
    given = {"two": 2, "k": "x", "l": items, "bytes": 20}
    run = VirtualRun(document, {"work": work}).run(given)
    assert [batch["Items"] for batch in run.output] == [items[:2], items[2:]]
    assert [batch["BatchInput"] for batch in run.output] == [{"k": "x"}] * 2
    batcher = {"MaxInputBytesPerBatchPath": "$.bytes"}
    document = machine(ItemBatcher=batcher, QueryLanguage="JSONPath", ItemsPath="$.l")
    assert [len(batch["Items"]) for batch in VirtualRun(document, {"work": work}).run(given).output] == [2, 1]
    batcher = {"MaxItemsPerBatch": "{% $states.input.two %}", "MaxInputBytesPerBatch": "{% $states.input.bytes - 13 %}"}
    document = machine(ItemBatcher=batcher, Items="{% $states.input.l %}")
    assert [len(batch["Items"]) for batch in VirtualRun(document, {"work": work}).run(given).output] == [1, 1, 1]
    run = VirtualRun(document, {"work": work}).run({**given, "two": 0})
    assert (run.status, run.error) == ("FAILED", "States.QueryEvaluationError")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"Transformation": "COMPACT"}, [[1], [2, 3]]),
        ({"Transformation": "FLATTEN", "OutputType": "JSON"}, [1, 2, 3]),
        ({"Transformation": "FLATTEN", "OutputType": "JSONL"}, "1\n2\n3\n"),
    ],
)
def test_a_writer_without_a_place_shapes_the_result_of_the_state(config: Any, expected: Any) -> None:
    document = machine(ResultWriter={"WriterConfig": config})
    assert VirtualRun(document, {"work": work}).run([[1], [2, 3]]).output == expected


def test_a_writer_without_a_place_keeps_whole_records_of_failures() -> None:
    document = machine(ResultWriter={"WriterConfig": {"Transformation": "COMPACT"}}, ToleratedFailureCount=1)
    good, failed = VirtualRun(document, {"work": work}).run(["a", "bad"]).output
    assert good == "a"
    assert (failed["Status"], failed["Error"], failed["Input"]) == ("FAILED", "ValueError", '"bad"')
    document = machine(ResultWriter={"WriterConfig": {"Transformation": "NONE", "OutputType": "JSON"}})
    (record,) = VirtualRun(document, {"work": work}).run(["a"]).output
    assert (record["Status"], record["Input"], record["Output"]) == ("SUCCEEDED", '"a"', '"a"')
    assert {"ExecutionArn", "Name", "StartDate", "StopDate", "InputDetails", "OutputDetails"} <= set(record)


def test_redriven_results_take_the_place_of_failed_records() -> None:
    broken = {"bad"}

    def unsteady(item: object) -> object:
        if item in broken:
            raise ValueError(item)
        return item

    document = machine(ResultWriter={"WriterConfig": {"Transformation": "COMPACT"}})
    run = VirtualRun(document, {"work": unsteady}).run(["a", "bad", "c"])
    broken.clear()
    run.take(events.RedriveRequested())
    assert run.go_on().output == ["a", "bad", "c"]


def test_children_are_named_by_the_label_and_know_themselves() -> None:
    execution = "{% $states.context.Execution %}"
    document = load(
        {
            "QueryLanguage": "JSONata",
            "StartAt": "M",
            "States": {
                "M": {
                    "Type": "Map",
                    "Label": "Prices",
                    "Items": [5],
                    "ItemProcessor": {
                        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
                        "StartAt": "P",
                        "States": {"P": {"Type": "Pass", "Output": execution, "End": True}},
                    },
                    "End": True,
                }
            },
        }
    )
    (found,) = VirtualRun(document).run({}).output
    assert found["Input"] == 5
    assert "/Prices:" in found["Id"]
