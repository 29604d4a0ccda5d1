"""The clients: they start, look, stop, redrive, update and work, until they are told to stop."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import fault_machines as machines
from fault_client import Client, Refused, Traffic
from fault_ledger import Accepted, Answer, Ledger
from fault_machines import REGION, RELAY, WORK, Job

ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
CLIENTS = 64
LEAVING = 0.01
"""Which part of the requests loses its connection before the answer."""
_STOP_CAUSE = "stopped by {}"


class Load:
    """64 clients of one or several servers."""

    def __init__(self, ports: list[int], seed: int, ledger: Ledger, traffic: Traffic) -> None:
        self._ports, self._seed, self.ledger, self.traffic = ports, seed, ledger, traffic
        self.stopping = asyncio.Event()
        """No new executions; workers go on."""
        self._numbers = iter(range(1, 1_000_000_000))
        self._clients: list[Client] = []
        self._starters: list[asyncio.Task[None]] = []
        self._others: list[asyncio.Task[None]] = []

    def client(self, name: str, leaving: float = 0.0) -> Client:
        client = Client(self._ports, random.Random(f"{self._seed}/{name}"), self.traffic, leaving=leaving)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """All connections."""
        for client in self._clients:
            client.close()

    async def prepare(self) -> None:
        """Activities and state machines."""
        client = self.client("prepare")
        for activity in ("work", "relay"):
            await client.call("CreateActivity", name=activity)
        for name, definition in machines.definitions().items():
            kind = "EXPRESS" if name == "express" else "STANDARD"
            await client.call(
                "CreateStateMachine", name=name, definition=machines.text(definition), roleArn=machines.ROLE, type=kind
            )
        client.close()

    def begin_workers(self) -> None:
        self._others += [*self._role("worker", 14, self._work_on), *self._role("relay", 5, self._relay_on)]

    def begin(self) -> None:
        """All other clients."""
        self._starters += self._role("starter", 42, self._start_on)
        self._starters += [*self._role("lister", 2, self._list_on), *self._role("updater", 1, self._update_on)]

    def _role(
        self, role: str, count: int, act: Callable[[Client, int], Coroutine[Any, Any, None]]
    ) -> Iterator[asyncio.Task[None]]:
        for number in range(count):
            yield asyncio.create_task(act(self.client(f"{role}{number}", LEAVING), number), name=f"{role}{number}")

    async def finish(self, within_s: float) -> None:
        """Let the starters end what they are at."""
        self.stopping.set()
        done, pending = await asyncio.wait(self._starters, timeout=within_s)
        for task in pending:
            self.ledger.wrong(f"client {task.get_name()} hangs {within_s:.0f} s after the last fault")
            task.cancel()
        for task in done:
            if task.exception() is not None:
                raise task.exception() or AssertionError

    async def end(self) -> None:
        """The workers too."""
        for task in self._others:
            if task.done() and not task.cancelled() and task.exception() is not None:
                raise task.exception() or AssertionError
            task.cancel()
        await asyncio.gather(*self._others, return_exceptions=True)

    # -- starting ------------------------------------------------------------------------------------------------------

    async def _start_on(self, client: Client, own: int) -> None:
        rng = client.rng
        while not self.stopping.is_set():
            job = machines.draw(rng, next(self._numbers))
            await self.run(client, job)
            await asyncio.sleep(rng.uniform(0.02, 0.2))

    async def run(self, client: Client, job: Job) -> Accepted | None:
        """Start it and do with it what clients do with its kind."""
        if job.kind == "express":
            await self._express(client, job)
            return None
        accepted = await self._start(client, job)
        if client.rng.random() < 0.08:
            await self._start_again(client, accepted)
        if job.kind == "stopped":
            await self._stop(client, accepted)
        elif job.kind == "redriven":
            await self._redrive(client, accepted)
        elif client.rng.random() < 0.7:
            await self._follow(client, accepted, patience_s=8.0)
        return accepted

    async def _start(self, client: Client, job: Job) -> Accepted:
        name = f"{job.kind}-{next(self._numbers)}"
        arn = f"arn:aws:states:{REGION}:execution:{job.kind}:{name}"
        accepted = Accepted(arn=arn, job=job, began_s=time.monotonic(), floor=self.ledger.revision)
        try:
            answer = await client.call(
                "StartExecution", stateMachineArn=machines.machine_arn(job.kind), name=name, input=json.dumps(job.input)
            )
        except Refused as problem:
            if problem.code != "ExecutionAlreadyExists":  # an earlier try was carried out, and has ended
                raise
        else:
            if answer["executionArn"] != arn:
                self.ledger.wrong(f"StartExecution of {arn} gave {answer['executionArn']}")
        self.ledger.starts[arn] = accepted
        return accepted

    async def _start_again(self, client: Client, accepted: Accepted) -> None:
        """The same name: the same input gives the same execution, or that it has ended; another input is refused."""
        other = client.rng.random() < 0.3
        given = {**accepted.job.input, "other": True} if other else accepted.job.input
        self.ledger.idempotent += 1
        kind, name = accepted.arn.split(":")[-2:]
        try:
            answer = await client.call(
                "StartExecution", stateMachineArn=machines.machine_arn(kind), name=name, input=json.dumps(given)
            )
        except Refused as problem:
            if problem.code != "ExecutionAlreadyExists":
                self.ledger.wrong(f"a second start was refused with {problem}", accepted.arn)
            return
        if other:
            self.ledger.wrong("a second start with another input was accepted", accepted.arn)
        elif answer["executionArn"] != accepted.arn:
            self.ledger.wrong(f"a second start made {answer['executionArn']}", accepted.arn)

    async def _express(self, client: Client, job: Job) -> None:
        answer = await client.call(
            "StartSyncExecution", stateMachineArn=machines.machine_arn("express"), input=json.dumps(job.input)
        )
        status, _ = machines.expected(job)
        if answer["status"] != status or not machines.agrees(job, json.loads(answer.get("output", "null"))):
            self.ledger.wrong(f"an Express execution of {job} answered {answer}")

    # -- looking -------------------------------------------------------------------------------------------------------

    async def _follow(self, client: Client, accepted: Accepted, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if await self.describe(client, accepted) in ENDED:
                return
            if client.rng.random() < 0.15:
                await self._glance(client, accepted)
            await asyncio.sleep(client.rng.uniform(0.05, 0.4))

    async def describe(self, client: Client, accepted: Accepted) -> str:
        try:
            found = await client.call("DescribeExecution", executionArn=accepted.arn)
        except Refused as problem:
            self.ledger.wrong(f"DescribeExecution of an accepted start: {problem}", accepted.arn)
            return "FAILED"
        status = str(found["status"])
        if status in ENDED and accepted.job.kind != "redriven":
            if accepted.ended is None:
                accepted.ended = found
            elif accepted.ended != found:
                self.ledger.wrong(f"it had ended as {accepted.ended}, and later as {found}", accepted.arn)
        elif accepted.ended is not None:
            self.ledger.wrong(f"it had ended as {accepted.ended}, and is {status} later", accepted.arn)
        return status

    async def _glance(self, client: Client, accepted: Accepted) -> None:
        """A history that still grows has no gaps either."""
        page = await client.call("GetExecutionHistory", executionArn=accepted.arn, maxResults=200)
        ids = [event["id"] for event in page["events"]]
        if ids != list(range(1, len(ids) + 1)):
            self.ledger.wrong(f"a growing history has the ids {ids}", accepted.arn)

    async def _list_on(self, client: Client, own: int) -> None:
        while not self.stopping.is_set():
            await client.call("ListStateMachines")
            kind = client.rng.choice(list(machines.VARIANTS))
            if kind != "express":
                before = {arn for arn, one in self.ledger.starts.items() if one.job.kind == kind and one.ended}
                page = await client.call(
                    "ListExecutions",
                    stateMachineArn=machines.machine_arn(kind),
                    maxResults=1000,
                    statusFilter="RUNNING",
                )
                listed = {one["executionArn"] for one in page["executions"]}
                if listed & before:
                    self.ledger.wrong(f"listed as RUNNING after their end: {listed & before}")
            await asyncio.sleep(client.rng.uniform(0.5, 2))

    # -- changing ------------------------------------------------------------------------------------------------------

    async def _stop(self, client: Client, accepted: Accepted) -> None:
        await asyncio.sleep(client.rng.uniform(0.0, 1.0))
        cause = _STOP_CAUSE.format(accepted.arn.rpartition(":")[2])
        await client.call("StopExecution", executionArn=accepted.arn, error="Stopped", cause=cause)
        accepted.stopped = cause

    async def _redrive(self, client: Client, accepted: Accepted) -> None:
        while await self.describe(client, accepted) != "FAILED":
            await asyncio.sleep(client.rng.uniform(0.1, 0.5))
        token = accepted.arn.rpartition(":")[2]
        try:
            await client.call("RedriveExecution", executionArn=accepted.arn, clientToken=token)
        except Refused as problem:
            if problem.code != "ExecutionNotRedrivable":  # an earlier try was carried out
                raise
        accepted.redriven = True

    async def _update_on(self, client: Client, own: int) -> None:
        number = 0
        while not self.stopping.is_set():
            number += 1
            definition = machines.text(machines.revision(number))
            await client.call(
                "UpdateStateMachine", stateMachineArn=machines.machine_arn("updated"), definition=definition
            )
            self.ledger.revision = number
            await asyncio.sleep(client.rng.uniform(0.2, 1.0))

    # -- working -------------------------------------------------------------------------------------------------------

    async def _work_on(self, client: Client, own: int) -> None:
        await self._take_on(client, WORK, f"worker{own}", self._work)

    async def _relay_on(self, client: Client, own: int) -> None:
        await self._take_on(client, RELAY, f"relay{own}", self._relay)

    async def _take_on(
        self, client: Client, activity: str, name: str, do: Callable[[Client, str, dict[str, Any]], Awaitable[None]]
    ) -> None:
        while True:
            task = await client.call("GetActivityTask", activityArn=activity, workerName=name)
            token = task.get("taskToken")
            if not token:
                continue
            if token in self.ledger.tokens:
                self.ledger.wrong(f"two workers got the task {token}", json.loads(task["input"]).get("execution"))
            self.ledger.tokens.add(token)
            if client.rng.random() >= 0.01:  # else the worker is lost with it
                await do(client, token, json.loads(task["input"]))

    async def _work(self, client: Client, token: str, given: dict[str, Any]) -> None:
        if not await self._take_time(client, token):
            return
        plan, sign, execution = given["plan"], f"{client.rng.getrandbits(64):016x}", given["execution"]
        self.ledger.answers[sign] = answer = Answer(execution=execution)
        if plan == "doomed":
            failure = ("Doomed", f"by plan {given['x']}")
            del self.ledger.answers[sign]
        elif plan == "flaky" and given["attempt"] < 2:
            failure = ("Flaky", sign)
        elif plan == "redriven" and given["redrive"] == 0:
            failure = ("Fragile", sign)
        else:
            output = json.dumps({"doubled": given["x"] * 2, "signed": sign})
            answer.taken = await self._answer(client, "SendTaskSuccess", taskToken=token, output=output)
            return
        answer.taken = await self._answer(
            client, "SendTaskFailure", taskToken=token, error=failure[0], cause=failure[1]
        )

    async def _relay(self, client: Client, token: str, given: dict[str, Any]) -> None:
        """Answer the execution that waits for a callback, then one's own task."""
        sign = f"{client.rng.getrandbits(64):016x}"
        self.ledger.answers[sign] = answer = Answer(execution="")
        output = json.dumps({"tripled": given["x"] * 3, "signed": sign})
        answer.taken = await self._answer(client, "SendTaskSuccess", taskToken=given["token"], output=output)
        await self._answer(client, "SendTaskSuccess", taskToken=token, output="{}")

    async def _take_time(self, client: Client, token: str) -> bool:
        """Mostly little; sometimes so long that the task is lost but for its heartbeats."""
        if client.rng.random() >= 0.02:
            await asyncio.sleep(client.rng.uniform(0.0, 0.1))
            return True
        for _ in range(client.rng.randint(1, 5)):
            await asyncio.sleep(2.0)
            if not await self._answer(client, "SendTaskHeartbeat", taskToken=token):
                return False
        return True

    async def _answer(self, client: Client, action: str, **request: Any) -> bool:
        try:
            await client.call(action, **request)
        except Refused as problem:
            if problem.code not in ("TaskTimedOut", "TaskDoesNotExist"):
                raise
            return False
        return True
