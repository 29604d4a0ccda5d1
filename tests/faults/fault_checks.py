"""What must be so in the end, whatever broke meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import fault_machines as machines
from fault_client import Client, Refused
from fault_ledger import Accepted
from fault_load import ENDED, Load

Event = dict[str, Any]
AT_ONCE = 12
TERMINAL = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
_BY_WORKERS = (
    "ActivityScheduled",
    "ActivityStarted",
    "ActivityFailed",
    "ActivityTimedOut",
    "ActivityScheduleFailed",
)
"""Events that an execution may have more of, where workers were lost."""


class Checks:
    """Asks about everything that was accepted."""

    def __init__(self, load: Load, shapes: dict[tuple[str, str], Counter[str]]) -> None:
        """`shapes`: the events of executions that nothing disturbed, by kind and variant."""
        self._load, self._ledger, self._shapes = load, load.ledger, shapes
        self.counts: Counter[str] = Counter()
        self._signed: Counter[str] = Counter()

    async def all(self) -> None:
        await self._each(list(self._ledger.starts.values()))
        await self._lists()
        self._answers()

    async def _each(self, starts: list[Accepted]) -> None:
        todo = iter(starts)

        async def some(number: int) -> None:
            client = self._load.client(f"check{number}")
            for accepted in todo:
                await self._one(client, accepted)
            client.close()

        await asyncio.gather(*(some(number) for number in range(AT_ONCE)))

    async def _one(self, client: Client, accepted: Accepted) -> None:
        wrong = self._ledger.wrong
        try:
            found = await client.call("DescribeExecution", executionArn=accepted.arn)
        except Refused as refused:
            wrong(f"an accepted start is not there: {refused}", accepted.arn)
            return
        self.counts[found["status"]] += 1
        for problem in [*self._end(accepted, found), *history_problems(events := await history(client, accepted.arn))]:
            wrong(problem, accepted.arn)
        for problem in [*last_event_problems(found, events), *self._shape(accepted, events), *self._activity(events)]:
            wrong(problem, accepted.arn)
        if accepted.job.kind == "updated":
            await self._revision(client, accepted, found)

    def _end(self, accepted: Accepted, found: dict[str, Any]) -> Iterable[str]:
        status, _ = machines.expected(accepted.job)
        if found["status"] != status:
            yield f"it should have {status}: {found}"
        elif status == "SUCCEEDED" and not machines.agrees(accepted.job, json.loads(found["output"])):
            yield f"the output of {accepted.job} is {found['output']}"
        if json.loads(found["input"]) != accepted.job.input:
            yield f"its input is {found['input']}, not {accepted.job.input}"
        if accepted.ended is not None and accepted.ended != found:
            yield f"it had ended as {accepted.ended}, and is {found} now"
        if accepted.stopped is not None and found.get("cause") != accepted.stopped:
            yield f"it was stopped by {accepted.stopped!r}, and its cause is {found.get('cause')!r}"
        if found["redriveCount"] != int(accepted.redriven):
            yield f"it was redriven {int(accepted.redriven)} times, and its redriveCount is {found['redriveCount']}"
        if accepted.job.kind == "wait" and found["status"] == status:
            waited = found["stopDate"] - found["startDate"]
            if waited < accepted.job.input["seconds"] - 0.001:
                yield f"it waited {waited} s, not {accepted.job.input['seconds']}"

    def _shape(self, accepted: Accepted, events: Sequence[Event]) -> Iterable[str]:
        shape = self._shapes.get((accepted.job.kind, accepted.job.variant))
        seen = shape_of(events)
        if shape is not None and seen != shape:
            yield f"its events differ from those without faults: {dict(seen - shape)} more, {dict(shape - seen)} less"

    def _activity(self, events: Sequence[Event]) -> Iterable[str]:
        kinds = Counter(event["type"] for event in events)
        outcomes = kinds["ActivitySucceeded"] + kinds["ActivityFailed"] + kinds["ActivityTimedOut"]
        if kinds["ActivityScheduled"] != outcomes:
            yield f"{kinds['ActivityScheduled']} tasks were scheduled, and {outcomes} have an outcome"
        by_id = {event["id"]: event for event in events}
        for event in events:
            if event["type"] in ("ActivitySucceeded", "ActivityFailed"):
                before = by_id.get(event["previousEventId"], {}).get("type")
                if before != "ActivityStarted":
                    yield f"{event['type']} {event['id']} follows {before}, not ActivityStarted"
            self._signed.update(_signatures(event))
        self.counts["timed out tasks"] += kinds["ActivityTimedOut"]
        self.counts["events"] += len(events)

    def _answers(self) -> None:
        """Each answer that a server took is recorded once; one that it refused may be the echo of one it took."""
        for sign, answer in self._ledger.answers.items():
            times = self._signed[sign]
            if times > 1 or (answer.taken and times != 1):
                self._ledger.wrong(
                    f"an answer ({sign}) that was {'taken' if answer.taken else 'refused'} is recorded {times} times",
                    answer.execution or None,
                )
        if strange := [sign for sign in self._signed if sign not in self._ledger.answers]:
            self._ledger.wrong(f"answers that nobody gave: {strange[:5]}")

    async def _revision(self, client: Client, accepted: Accepted, found: dict[str, Any]) -> None:
        used = await client.call("DescribeStateMachineForExecution", executionArn=accepted.arn)
        of_machine = json.loads(used["definition"])["States"]["P"]["Result"]["revision"]
        of_output = json.loads(found.get("output", "{}")).get("revision")
        if of_machine != of_output:
            self._ledger.wrong(f"its machine is revision {of_machine}, its output of {of_output}", accepted.arn)
        if of_output is not None and of_output < accepted.floor:
            self._ledger.wrong(f"revision {accepted.floor} was in effect, and it used {of_output}", accepted.arn)

    async def _lists(self) -> None:
        """Everything is listed once, as DescribeExecution says; and nothing else is there but what executions start."""
        client = self._load.client("lists")
        known = self._ledger.starts
        for kind in [kind for kind in machines.VARIANTS if kind != "express"] + ["relay"]:
            listed = await list_all(client, machines.machine_arn(kind))
            twice = [arn for arn, count in Counter(one["executionArn"] for one in listed).items() if count > 1]
            if twice:
                self._ledger.wrong(f"listed twice: {twice[:3]}")
            arns = {one["executionArn"] for one in listed}
            own = {arn for arn, accepted in known.items() if accepted.job.kind == kind}
            if missing := own - arns:
                self._ledger.wrong(f"{len(missing)} accepted executions are not listed", next(iter(missing)))
            for one in listed:
                if one["status"] not in ENDED:
                    self._ledger.wrong(f"listed as {one['status']}", one["executionArn"])
                ended = known[one["executionArn"]].ended if one["executionArn"] in known else None
                if ended is not None and (one["status"], one.get("stopDate")) != (ended["status"], ended["stopDate"]):
                    self._ledger.wrong(f"listed as {one}, described as {ended}", one["executionArn"])
            self._children(kind, arns - own)
        client.close()

    def _children(self, kind: str, others: set[str]) -> None:
        parents = {"chain": "nested", "relay": "callback"}.get(kind)
        wanted = sum(accepted.job.kind == parents for accepted in self._ledger.starts.values())
        if len(others) != wanted:
            what = (
                f"executions of {kind} that {parents} started" if parents else f"executions of {kind} without a start"
            )
            self._ledger.wrong(f"there are {len(others)} {what}, not {wanted}", min(others) if others else None)


async def history(client: Client, arn: str) -> list[Event]:
    events: list[Event] = []
    token: dict[str, str] = {}
    while True:
        page = await client.call("GetExecutionHistory", executionArn=arn, maxResults=1000, **token)
        events += page["events"]
        if "nextToken" not in page:
            return events
        token = {"nextToken": page["nextToken"]}


async def list_all(client: Client, machine: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        page = await client.call("ListExecutions", stateMachineArn=machine, maxResults=1000, **token)
        found += page["executions"]
        if "nextToken" not in page:
            return found
        token = {"nextToken": page["nextToken"]}


def history_problems(events: Sequence[Event]) -> Iterable[str]:
    """Gap-free, in order, begun once, ended once and last, but for redrives."""
    ids = [event["id"] for event in events]
    if ids != list(range(1, len(ids) + 1)):
        yield f"the history's ids are {ids}"
    types = [event["type"] for event in events]
    if types[:1] != ["ExecutionStarted"] or types.count("ExecutionStarted") != 1:
        yield f"it does not begin once: {types}"
    ends = [place for place, type_ in enumerate(types) if type_ in TERMINAL]
    redrives = [place - 1 for place, type_ in enumerate(types) if type_ == "ExecutionRedriven"]
    if ends != [*redrives, len(types) - 1]:
        yield f"its ends are at {ends}, its redrives at {redrives} of {len(types)}"
    for event in events:
        if not 0 <= event["previousEventId"] < event["id"]:
            yield f"event {event['id']} follows {event['previousEventId']}"
    times = [event["timestamp"] for event in events]
    if times != sorted(times):
        yield f"its times go back: {times}"
    yield from _balance(types)


def _balance(types: Sequence[str]) -> Iterable[str]:
    seen = Counter(types)
    for started, ended in (
        ("MapStateStarted", ("MapStateSucceeded", "MapStateFailed", "MapStateAborted")),
        ("MapIterationStarted", ("MapIterationSucceeded", "MapIterationFailed", "MapIterationAborted")),
        ("TaskSubmitted", ("TaskSucceeded", "TaskFailed", "TaskTimedOut")),
    ):
        if seen[started] != sum(seen[one] for one in ended):
            yield f"{seen[started]} {started}, but {[(one, seen[one]) for one in ended]}"


def last_event_problems(found: dict[str, Any], events: Sequence[Event]) -> Iterable[str]:
    """The history ends as the description says."""
    last = events[-1]
    status = {
        "ExecutionSucceeded": "SUCCEEDED",
        "ExecutionFailed": "FAILED",
        "ExecutionTimedOut": "TIMED_OUT",
        "ExecutionAborted": "ABORTED",
    }.get(last["type"])
    if status != found["status"]:
        yield f"it is {found['status']}, and its history ends with {last}"
    details: dict[str, Any] = next((value for name, value in last.items() if name.endswith("EventDetails")), {})
    for name in ("output", "error", "cause"):
        if details.get(name) != found.get(name):
            yield f"the {name} of its last event is {details.get(name)!r}, described is {found.get(name)!r}"
    if abs(last["timestamp"] - found["stopDate"]) > 0.002:
        yield f"its last event is of {last['timestamp']}, its stopDate {found['stopDate']}"


def shape_of(events: Iterable[Event]) -> Counter[str]:
    """How many of each type and state, without those that depend on workers."""
    shape: Counter[str] = Counter()
    for event in events:
        if event["type"] not in _BY_WORKERS:
            details: dict[str, Any] = (
                event.get("stateEnteredEventDetails") or event.get("stateExitedEventDetails") or {}
            )
            shape[f"{event['type']} {details.get('name', '')}".strip()] += 1
    return shape


def _signatures(event: Event) -> Iterable[str]:
    """Of workers, in what was recorded of their answers."""
    for name in ("activitySucceededEventDetails", "taskSucceededEventDetails"):
        output = json.loads(event.get(name, {}).get("output", "null"))
        if isinstance(output, dict) and "signed" in output:
            yield output["signed"]
    failed = event.get("activityFailedEventDetails", {})
    if failed.get("error") in ("Flaky", "Fragile"):
        yield failed["cause"]
