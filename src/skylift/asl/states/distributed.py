"""Map, distributed: a child execution with a history of its own for each item or batch of items.

Items come from the state's input or, page by page, from an ItemReader; what is read and not yet started is at most a
page or two, so that the length of the input does not matter. Results go to the state's output or to a ResultWriter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from skylift.asl.context import child_arn, timestamp, token_prefix
from skylift.asl.document import Map
from skylift.asl.events import (
    Event,
    ItemsRead,
    ItemsReadFailed,
    MapRunUpdated,
    ResultsWriteFailed,
    ResultsWritten,
)
from skylift.asl.map_names import map_run_name
from skylift.asl.map_results import json_lines, shaped
from skylift.asl.scope import EvaluationFailed
from skylift.asl.sizes import size_of
from skylift.asl.state import NO_VARIABLES, Failure, Fan, Frame, MapRun
from skylift.asl.states.base import CompiledFlow
from skylift.asl.states.map import MapStep
from skylift.asl.states.map_fields import MapRunFields, source_of

if TYPE_CHECKING:
    from skylift.asl.turn import Turn

EXCEEDED = "States.ExceedToleratedFailureThreshold"


class DistributedMapStep(MapStep):
    def __init__(self, state: Map, processor: CompiledFlow) -> None:
        super().__init__(state, processor)
        self._fields = MapRunFields(state)

    # Starting

    def begin(self, turn: Turn, frame: Frame) -> None:
        scope = turn.scope(frame, self)
        effective = self.flow.effective(scope)
        items = [] if self._fields.reads else self.read_items(scope)
        turn.emit(frame, "MapStateStarted", {"length": len(items)})
        scope.input = effective
        concurrency = self.read_concurrency(scope, turn.limits.distributed_window)
        run = self._new_run(turn)
        run.items = items
        run.tolerated_count, run.tolerated_percentage = self._fields.tolerance(scope)
        run.batch = self._fields.batch(scope)
        run.reader = self._fields.reader(scope, turn.limits.page_items)
        run.source = source_of(run.reader)
        run.writer = self._fields.writer(scope)
        frame.phase = "fan"
        fan = frame.fan = Fan(0, concurrency, None, self.selector_input(frame, effective), map_run=run)
        run.started_id = turn.emit(
            frame, "MapRunStarted", {"mapRunArn": run.arn}, about=_limits(run, turn, concurrency)
        )
        self._open_ports(turn, frame, run)
        self.pump(turn, frame, fan, 0)

    def _new_run(self, turn: Turn) -> MapRun:
        rng = turn.random()
        label = self._fields.label or f"{rng.getrandbits(64):016x}"
        unique = f"{rng.getrandbits(64):016x}"
        execution = turn.state.context.get("Execution")
        parts = str(execution.get("Id", "")).split(":") if isinstance(execution, dict) else []
        parts = parts if len(parts) in (8, 9) else ["arn", "aws", "states", "local", "", "execution", "machine", "run"]
        if parts[3] != "local":
            unique = map_run_name(token_prefix(turn.state).rstrip(":"), unique)
        arn = ":".join([*parts[:5], "mapRun", f"{parts[6]}/{label}", unique])
        return MapRun(arn, label, unique)

    def _open_ports(self, turn: Turn, frame: Frame, run: MapRun) -> None:
        for port in (run.reader, run.writer):
            if port is not None:
                port.port = turn.open_port(frame)

    # Moving on

    def pump(self, turn: Turn, frame: Frame, fan: Fan, after: int) -> None:
        """Start children while there are items and room, ask for the next page in time, end when all is done."""
        run = _run(fan)
        try:
            while len(fan.active) < fan.concurrency and self._next_child(turn, frame, fan, run):
                pass
        except EvaluationFailed as problem:
            self._fail_run(turn, frame, turn.describe(self, frame, problem))
            return
        self._read_ahead(turn, run)
        self._write(turn, run, fan)
        if not fan.active and run.reader is None and run.taken >= len(run.items):
            self._all_ended(turn, frame, fan, run)

    def _read_ahead(self, turn: Turn, run: MapRun) -> None:
        reader = run.reader
        if reader is not None and not reader.asked and len(run.items) - run.taken < reader.page:
            reader.asked = True
            turn.commands.append(reader.command())

    def _next_child(self, turn: Turn, frame: Frame, fan: Fan, run: MapRun) -> bool:
        """Start one child if there are items enough for it."""
        if run.batch is not None:
            given, count = self._next_batch(turn, frame, fan, run)
        else:
            given, count = self._next_item(turn, frame, fan, run)
        if count == 0:
            return False
        index = fan.next_index
        fan.next_index = fan.length = index + 1
        if count != 1:
            run.sizes[index] = count
        self._start_child(turn, frame, fan, index, given)
        return True

    def _next_item(self, turn: Turn, frame: Frame, fan: Fan, run: MapRun) -> tuple[Any, int]:
        if run.taken >= len(run.items):
            return None, 0
        given = self._selected(turn, frame, fan, run, run.taken)
        _take(run, 1)
        return given, 1

    def _next_batch(self, turn: Turn, frame: Frame, fan: Fan, run: MapRun) -> tuple[Any, int]:
        """As many items as a batch holds; none while the batch may still grow with the next page."""
        batch = run.batch
        assert batch is not None
        chosen: list[Any] = []
        size = 0 if batch.input is UNSET else size_of(batch.input)
        full = False
        while run.taken + len(chosen) < len(run.items) and not full:
            item = self._selected(turn, frame, fan, run, run.taken + len(chosen))
            if batch.most_bytes is not None:
                size += size_of(item) + 1
                full = size > batch.most_bytes and bool(chosen)
                if full:
                    break
            chosen.append(item)
            full = batch.most_items is not None and len(chosen) >= batch.most_items
        if not chosen or (not full and run.reader is not None):
            return None, 0
        _take(run, len(chosen))
        given = {"Items": chosen} if batch.input is UNSET else {"BatchInput": batch.input, "Items": chosen}
        return given, len(chosen)

    def _selected(self, turn: Turn, frame: Frame, fan: Fan, run: MapRun, place: int) -> Any:
        item = run.items[place]
        if self.selector is None:
            return item
        return self.select(turn, frame, fan, run.numbered + place - run.taken, item, run.source)

    def _start_child(self, turn: Turn, frame: Frame, fan: Fan, index: int, given: Any) -> None:
        number = turn.new_frame_number()
        child = Frame(
            number,
            frame.number,
            index,
            self.processor.number,
            number,
            (*frame.path, self.name, index),
            self.processor.start,
            given,
            NO_VARIABLES,
        )
        child.item = given
        child.name = f"{_run(fan).name}-{index}"
        child.started_ms = turn.now_ms
        fan.active[index] = number
        turn.start_thread(child)
        items = _run(fan).sizes.get(index, 1)
        turn.aside(child, "ExecutionStarted", {"input": given, "roleArn": turn.role_arn}, about=items)

    # Children's endings

    def child_succeeded(self, turn: Turn, frame: Frame, child: Frame, output: Any) -> None:
        fan = frame.fan
        assert fan is not None
        run = _run(fan)
        del fan.active[child.index]
        run.sizes.pop(child.index, None)
        if run.writer is None and self._fields.preview is None:
            fan.results[child.index] = output
        else:
            self._keep(fan, child, {**self._record(turn, child, "SUCCEEDED"), "Output": output})
        self.pump(turn, frame, fan, 0)

    def child_failed(self, turn: Turn, frame: Frame, child: Frame, failure: Failure) -> None:
        fan = frame.fan
        assert fan is not None
        run = _run(fan)
        number = fan.active.pop(child.index)
        run.failed_items += run.sizes.get(child.index, 1)
        if run.writer is not None or self._fields.preview is not None:
            ending = {"Error": failure.error, "Cause": failure.cause}
            self._keep(fan, child, {**self._record(turn, child, "FAILED"), **ending})
        if self._exceeded(run, fan):
            fan.stopped[child.index] = number
            self._threshold_exceeded(turn, frame)
            return
        run.tolerated[child.index] = number
        self.pump(turn, frame, fan, 0)

    def _keep(self, fan: Fan, child: Frame, record: dict[str, Any]) -> None:
        """For the writer, or for the state's result."""
        writer = _run(fan).writer
        if writer is not None:
            writer.records.append(record)
        else:
            fan.results[child.index] = record

    def _record(self, turn: Turn, child: Frame, status: str) -> dict[str, Any]:
        return {
            "ExecutionArn": child_arn(turn.state, child),
            "Input": child.item,
            "Name": child.name,
            "StartDate": timestamp(child.started_ms),
            "Status": status,
            "StopDate": timestamp(turn.now_ms),
        }

    def _exceeded(self, run: MapRun, fan: Fan) -> bool:
        """Whether more has failed than is tolerated. A percentage counts once the number of items is known."""
        if run.failed_items == 0:
            return False
        if run.tolerated_count is not None and run.failed_items > run.tolerated_count:
            return True
        if run.tolerated_percentage is None:
            return run.tolerated_count is None
        if run.reader is not None:
            return False
        total = run.numbered + len(run.items) - run.taken
        return run.failed_items * 100 > run.tolerated_percentage * total

    def _threshold_exceeded(self, turn: Turn, frame: Frame) -> None:
        self._fail_run(turn, frame, Failure(EXCEEDED, "The specified tolerated failure threshold was exceeded"))

    def _fail_run(self, turn: Turn, frame: Frame, failure: Failure) -> None:
        assert frame.fan is not None
        turn.stop_children(frame)
        turn.close_ports(_run(frame.fan))
        details = {"cause": failure.cause, "error": failure.error}
        turn.emit(frame, "MapRunFailed", {key: value for key, value in details.items() if value is not None})
        turn.fail(self, frame, failure)

    def record_aborted(self, turn: Turn, frame: Frame, child: Frame) -> None:
        pass

    # The end

    def _all_ended(self, turn: Turn, frame: Frame, fan: Fan, run: MapRun) -> None:
        if self._exceeded(run, fan):
            self._threshold_exceeded(turn, frame)
            return
        if run.writer is not None:
            if not run.writer.asked:
                self._write_part(turn, run, last=True)
            return
        results = fan.results
        self._complete(turn, frame, fan, self._shaped([results[index] for index in sorted(results)]))

    def _shaped(self, results: list[Any]) -> Any:
        config = self._fields.preview
        if config is None:
            return results
        content = shaped(results, config.get("Transformation", "COMPACT"))
        return json_lines(content).decode() if config.get("OutputType") == "JSONL" else content

    def _complete(self, turn: Turn, frame: Frame, fan: Fan, output: Any) -> None:
        run = _run(fan)
        turn.close_ports(run)
        turn.emit(frame, "MapRunSucceeded")
        turn.aside(frame, "MapStateSucceeded")
        frame.last_id = run.started_id
        turn.drop_tolerated(run)
        self.succeed(turn, frame, output)

    # Ports

    def port_answered(self, turn: Turn, frame: Frame, event: Event) -> None:
        fan = frame.fan
        assert fan is not None
        run = _run(fan)
        match event:
            case ItemsRead() if run.reader is not None and run.reader.asked:
                self._page(turn, run, event)
                self.pump(turn, frame, fan, 0)
            case ItemsReadFailed() if run.reader is not None and run.reader.asked:
                run.reader.asked = False
                self._fail_run(turn, frame, Failure(event.error, event.cause))
            case ResultsWritten() if run.writer is not None and run.writer.asked:
                self._written(turn, frame, fan, event)
            case ResultsWriteFailed() if run.writer is not None and run.writer.asked:
                run.writer.asked = False
                self._fail_run(turn, frame, Failure(event.error, event.cause))
            case _:
                pass

    def _page(self, turn: Turn, run: MapRun, event: ItemsRead) -> None:
        reader = run.reader
        assert reader is not None
        items = event.items if reader.left is None else event.items[: reader.left]
        if reader.left is not None:
            reader.left -= len(items)
        run.items = [*run.items[run.taken :], *items]
        run.taken = 0
        reader.asked = False
        reader.cursor = event.cursor
        if event.cursor is None or reader.left == 0:
            turn.state.ports.pop(reader.port, None)
            run.reader = None

    def _write(self, turn: Turn, run: MapRun, fan: Fan) -> None:
        writer = run.writer
        if writer is not None and not writer.asked and len(writer.records) >= turn.limits.page_items:
            self._write_part(turn, run, last=False)

    def _write_part(self, turn: Turn, run: MapRun, *, last: bool) -> None:
        writer = run.writer
        assert writer is not None
        writer.under_way, writer.records = writer.records, []
        writer.asked, writer.last = True, last
        turn.commands.append(writer.command(run.arn))

    def _written(self, turn: Turn, frame: Frame, fan: Fan, event: ResultsWritten) -> None:
        run = _run(fan)
        writer = run.writer
        assert writer is not None
        writer.asked = False
        writer.under_way = []
        writer.part += 1
        if writer.last:
            self._complete(turn, frame, fan, {"MapRunArn": run.arn, "ResultWriterDetails": event.details})
        else:
            self.pump(turn, frame, fan, 0)

    # From outside

    def limits_changed(self, turn: Turn, frame: Frame, event: MapRunUpdated) -> None:
        fan = frame.fan
        assert fan is not None
        run = _run(fan)
        if event.max_concurrency is not None:
            window = turn.limits.distributed_window
            fan.concurrency = min(event.max_concurrency or window, window)
        if event.tolerated_failure_count is not None:
            run.tolerated_count = event.tolerated_failure_count
        if event.tolerated_failure_percentage is not None:
            run.tolerated_percentage = event.tolerated_failure_percentage
        if self._exceeded(run, fan):
            self._threshold_exceeded(turn, frame)
        else:
            self.pump(turn, frame, fan, 0)

    def redrive(self, turn: Turn, frame: Frame) -> None:
        fan = frame.fan
        if fan is None:
            turn.attempt(self, frame)
            return
        run = _run(fan)
        run.redrives += 1
        frame.phase = "fan"
        turn.emit(frame, "MapRunRedriven", {"mapRunArn": run.arn, "redriveCount": run.redrives})
        run.failed_items = 0
        fan.stopped.update(run.tolerated)
        run.tolerated.clear()
        self._reopen(turn, frame, run)
        for number in fan.stopped.values():
            turn.aside(turn.frames[number], "ExecutionRedriven", {"redriveCount": run.redrives})
        turn.redrive_children(frame, fan)
        self.pump(turn, frame, fan, 0)

    def _reopen(self, turn: Turn, frame: Frame, run: MapRun) -> None:
        """New ports for a redrive: an answer to what was asked before comes too late."""
        if run.reader is not None:
            run.reader.asked = False
        if run.writer is not None:
            run.writer.records = [*run.writer.under_way, *run.writer.records]
            run.writer.under_way = []
            run.writer.asked = run.writer.last = False
        self._open_ports(turn, frame, run)


def _run(fan: Fan) -> MapRun:
    assert fan.map_run is not None
    return fan.map_run


def _take(run: MapRun, count: int) -> None:
    run.taken += count
    run.numbered += count


def _limits(run: MapRun, turn: Turn, concurrency: int) -> dict[str, Any]:
    return {
        "maxConcurrency": concurrency if concurrency < turn.limits.distributed_window else 0,
        "toleratedFailureCount": run.tolerated_count,
        "toleratedFailurePercentage": run.tolerated_percentage,
    }
