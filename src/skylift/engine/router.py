"""Where a task goes, by its resource.

| resource | goes to |
|---|---|
| `arn:aws:states:::skylift:NAME` | task NAME of the run's table, on a backend |
| the same with `.waitForTaskToken` | the task runs, and the outcome comes by callback; NAME `approve` needs no worker |
| a Lambda function's ARN, `arn:aws:states:::lambda:invoke` | the table's handler of the function's name or ARN |
| `arn:aws:states:::states:startExecution`, `.sync`, `.sync:2`, `.waitForTaskToken` | a nested run |
| the same as `aws-sdk:sfn:startExecution`, and `aws-sdk:sfn:startSyncExecution` | a nested run |
| an activity's ARN | whoever asks for that activity's tasks |
| `arn:aws:states:::SERVICE:ACTION` in all forms, a Lambda function without a handler here | the services' backend |

What cannot be routed is refused with an error that Retry and Catch see and a cause that says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from skylift.asl.commands import StartTask
from skylift.config.jobs import JobBinding
from skylift.engine import job_limits
from skylift.engine.functions import find_function, no_function
from skylift.engine.jobs import BoundJob, bound_job, spec_of
from skylift.engine.names import activity_arn, is_activity
from skylift.engine.no_offer import no_offer, not_honoured
from skylift.engine.places import Places
from skylift.engine.placing import LENT, WITHIN, is_bought, on_plan, placed
from skylift.engine.routes import (
    WAITS,
    ActivityRoute,
    NestedMode,
    NestedRoute,
    Refused,
    Route,
    ServiceRoute,
    WorkerRoute,
)
from skylift.errors import SkyliftError
from skylift.ports.compute import Backend, Requirements
from skylift.ports.journal import RunRecord
from skylift.ports.tasks import TaskSpec, TaskTable

APPROVE = "approve"
"""The task that no worker does: a person or another program calls back."""

_SKYLIFT = "arn:aws:states:::skylift:"
_LAMBDA = "arn:aws:states:::lambda:invoke"
_SERVICE = re.compile(r"arn:aws[^:]*:states:[^:]*:[^:]*:[a-z]")
_ANSWERS_LATE = re.compile(r"arn:[^:]*:(lambda:|states:[^:]*:[^:]*:(aws-sdk:)?(lambda|http|apigateway):)")
"""Services that answer only when code of the user's has run, which may be what calls back."""
_NESTED = "arn:aws:states:::states:startExecution"
_RUNS = frozenset(("RequestResponse", "Event"))
_RUN = "with RequestResponse, or with Event, which is waited for here"
_CALLBACK = ".waitForTaskToken"

_SDK = "arn:aws:states:::aws-sdk:sfn:"
_NESTED_SDK = {
    "startExecution": NestedRoute("fire", sdk=True),
    f"startExecution{_CALLBACK}": NestedRoute("callback", sdk=True),
    "startSyncExecution": NestedRoute("express", sdk=True),
}

NO_CHOICE: Mapping[str, str] = {}
PLAIN = Requirements()


class Router:
    """Chooses; starts nothing. A run's placement is in its attributes: `on` for all its tasks, `on.NAME` for one."""

    def __init__(
        self,
        backends: Mapping[str, Backend],
        default: str | None = None,
        *,
        services: str | None = None,
        functions: Mapping[str, TaskSpec] | None = None,
        lambda_elsewhere: bool = False,
        may_run: Callable[[str], bool] = lambda account: True,
        may_use: Callable[[str], bool] = lambda backend: True,
        places: Places | None = None,
        has_activity: Callable[[str], bool] = lambda arn: True,
        escalate: Sequence[str] = (),
        placement: Mapping[str, str] | None = None,
        jobs: Mapping[str, JobBinding] | None = None,
    ) -> None:
        """`services` names the backend for services, `functions` are handlers for runs that bring none of a name,
        `jobs` programs for definitions of Batch, ECS and SageMaker jobs. With `lambda_elsewhere` functions without a
        handler are called as a service. `may_run(account)` tells whether an account's own code may run here,
        `may_use(backend)` on which backends, `places` what its jobs may read and write, `has_activity(arn)` whether
        there is such an activity. `placement` names the backend of a task, `*` that of all
        others, for runs whose attributes do not; `escalate` names backends from the smallest to the largest: where an
        attempt goes on that outgrew one."""
        self._services = services
        self._functions = TaskTable(bundle=None, tasks=dict(functions or {}))
        self._lambda_elsewhere = lambda_elsewhere and services is not None
        self._may_run = may_run
        self._may_use = may_use
        self._places = places if places is not None else Places()
        self._has_activity = has_activity
        self._backends = backends
        self._default = default if default is not None else next(iter(backends), None)
        self._placement = dict(placement or {})
        self._escalate = tuple(escalate)
        self._jobs = dict(jobs or {})
        self._feasible: set[tuple[str, bytes]] = set()

    def route(self, command: StartTask, record: RunRecord, table: TaskTable, known: dict[str, Route]) -> Route:
        """Where this attempt goes. `known` keeps the answers of one run that depend on the resource alone."""
        resource = command.resource
        if table.plan and not record.account and (route := self._planned(command, record, table)) is not None:
            return route  # the runs of accounts go where the server's settings and their own boxes are
        if self._jobs and (job := bound_job(resource, command.arguments, self._jobs)) is not None:
            return self._job(job, command, record)
        route = known.get(resource)
        if route is not None:
            return route
        if resource.startswith(_LAMBDA):
            return self._invoke(command, record, table, known)
        route = known[resource] = self._by_resource(resource, record, table)
        return route

    def _by_resource(self, resource: str, record: RunRecord, table: TaskTable) -> Route:
        if resource.startswith(_SKYLIFT):
            name = resource[len(_SKYLIFT) :]
            callback = name.endswith(_CALLBACK)
            return self._task(name.removesuffix(_CALLBACK), callback, record, table)
        if resource.startswith(_NESTED) or resource.removeprefix(_SDK) in _NESTED_SDK:
            return _nested(resource)
        if ":function:" in resource:
            return self._function(resource, record, table)
        if is_activity(resource):
            return self._activity(resource, record)
        if self._services is not None and _SERVICE.match(resource):
            return self._service(resource)
        return Refused(
            "Skylift.UnknownResource",
            f"No worker is known for the resource {resource}. Skylift runs its own tasks, Lambda functions that "
            "[functions] in skylift.toml maps to Python, and nested runs.",
        )

    def _planned(self, command: StartTask, record: RunRecord, table: TaskTable) -> Route | None:
        """Where the run's plan has bought a place for this step; None for what it says nothing of."""
        assert table.plan is not msgspec.UNSET
        bought = table.plan.get(record.attributes.get(WITHIN, "") + command.state)
        name = worker_of(command.resource, command.arguments)
        if bought is None or name is None:
            return None
        callback, payload = command.resource.endswith(_CALLBACK), command.resource.startswith(_LAMBDA)
        spec = table.tasks.get(name) if command.resource.startswith(_SKYLIFT) else find_function(name, table)
        if spec is not None:
            return self._worker(on_plan(spec, bought), record, callback=callback, payload=payload)
        spec = find_function(name, self._functions)
        if spec is None:
            return None
        return _importable(self._bound(on_plan(spec, bought), record, callback=callback, payload=payload))

    def _job(self, job: BoundJob, command: StartTask, record: RunRecord) -> Route:
        """Bound by whoever set this place up, so any account may run it, as it is bound."""
        try:
            spec = spec_of(job, command.arguments)
            refused = self._job_refused(job, command, record)
        except (ValueError, TypeError, AttributeError, ArithmeticError, SkyliftError) as problem:
            return Refused("States.Runtime", f"The job {job.name[:80]} cannot be read: {problem}")
        if refused is not None:
            return Refused("States.Permissions", f"The job {job.name[:80]} may not run so: {refused}.")
        route = self._bound(spec, record)
        return msgspec.structs.replace(route, bundled=False, job=job) if type(route) is WorkerRoute else route

    def _job_refused(self, job: BoundJob, command: StartTask, record: RunRecord) -> str | None:
        if not record.account or self._may_run(record.account):
            return None
        return job_limits.refusal(job, command.arguments, record.account, self._places)

    def _service(self, resource: str) -> ServiceRoute:
        assert self._services is not None
        callback, waits = resource.endswith(_CALLBACK), resource.endswith((".sync", ".sync:2"))
        holds = callback and not _ANSWERS_LATE.match(resource)
        return ServiceRoute(backend=self._services, callback=callback, waits=waits, holds=holds)

    def _lent(self, spec: TaskSpec, record: RunRecord, place: str, *, callback: bool, payload: bool) -> Route:
        """A task of ours for the workers of an activity. Their boxes run it, so nobody here need allow its code."""
        if callback:
            cause = f"Task {spec.name} waits for a callback, which a task on {place} cannot: choose another backend."
            return Refused("Skylift.NoBackend", cause)
        arn = activity_arn(place.removeprefix(LENT), record)
        if not is_activity(arn):
            return Refused("Skylift.NoBackend", f"Task {spec.name} wants {place[:200]!r}, which names no activity.")
        route = self._activity(arn, record)
        if type(route) is not ActivityRoute:
            return route
        return ActivityRoute(route.queue, WorkerRoute(spec=spec, backend=place, payload=payload))

    def _activity(self, arn: str, record: RunRecord) -> Route:
        account = arn.split(":")[4]
        if not record.account:
            cause = f"The activity {arn} needs a server, which hands its tasks to workers: skylift server."
            return Refused("Skylift.UnknownResource", cause)
        if account != record.account or not self._has_activity(arn):
            return Refused("States.Runtime", f"The activity '{arn}' does not exist.")
        return ActivityRoute(arn)

    def _task(self, name: str, callback: bool, record: RunRecord, table: TaskTable) -> Route:
        spec = table.tasks.get(name)
        if callback and (name == APPROVE if spec is None else not spec.target):
            return WAITS
        if spec is None:
            names = ", ".join(sorted(table.tasks)) or "none"
            return Refused("Skylift.UnknownTask", f"The run's code has no task {name!r}; it has: {names}.")
        return self._worker(spec, record, callback=callback)

    def _function(self, arn: str, record: RunRecord, table: TaskTable) -> Route:
        return self._handler(arn, record, table) or self._no_handler(arn, arn)

    def _handler(
        self, name: str, record: RunRecord, table: TaskTable, *, callback: bool = False, payload: bool = False
    ) -> Route | None:
        """The run's own handler of this function, else ours."""
        spec = find_function(name, table)
        if spec is not None:
            return self._worker(spec, record, callback=callback, payload=payload)
        spec = find_function(name, self._functions)
        if spec is None:
            return None
        return _importable(self._bound(spec, record, callback=callback, payload=payload))

    def _no_handler(self, resource: str, function: str) -> Route:
        return self._service(resource) if self._lambda_elsewhere else no_function(function)

    def _invoke(self, command: StartTask, record: RunRecord, table: TaskTable, known: dict[str, Route]) -> Route:
        arguments = command.arguments
        name = arguments.get("FunctionName") if isinstance(arguments, dict) else None
        if not isinstance(name, str):
            return Refused("States.Runtime", f"lambda:invoke needs FunctionName as text, not {name!r}.")
        kind = arguments.get("InvocationType") or "RequestResponse"
        runs = isinstance(kind, str) and kind in _RUNS
        if not runs and (find_function(name, table) or find_function(name, self._functions)) is not None:
            cause = (
                f"lambda:invoke has InvocationType {str(kind)[:40]!r}: a function that is bound here is run, {_RUN}."
            )
            return Refused("States.Runtime", cause)
        key = f"{command.resource} {name}"
        route = known.get(key)
        if route is None:
            callback = command.resource.endswith(_CALLBACK)
            found = self._handler(name, record, table, callback=callback, payload=True)
            route = known[key] = found or self._no_handler(command.resource, name)
        return route

    def _bound(self, spec: TaskSpec, record: RunRecord, *, callback: bool = False, payload: bool = False) -> Route:
        """Code that is bound here, not the run's own: it runs where the administrator wants it."""
        place = self._placed(spec, NO_CHOICE if record.account else record.attributes)
        return self._place(spec, record, place, callback=callback, payload=payload)

    def _worker(self, spec: TaskSpec, record: RunRecord, *, callback: bool = False, payload: bool = False) -> Route:
        """The run's own code, which an account places itself."""
        place = self._placed(spec, record.attributes)
        if record.account and not place.startswith(LENT):
            if not self._may_run(record.account):
                cause = f"Account {record.account} may not run code on this server: see allow_code in its settings."
                return Refused("States.Permissions", cause)
            if not self._may_use(place):
                cause = f"Code of accounts may not run on backend {place!r} of this server: see allow_backends there."
                return Refused("States.Permissions", cause)
        return self._place(spec, record, place, callback=callback, payload=payload)

    def _place(self, spec: TaskSpec, record: RunRecord, name: str, *, callback: bool, payload: bool) -> Route:
        if name.startswith(LENT):
            return self._lent(spec, record, name, callback=callback, payload=payload)
        if name not in self._backends:
            have = ", ".join(sorted(self._backends)) or "none"
            return Refused("Skylift.NoBackend", f"Task {spec.name} wants backend {name!r}; there are: {have}.")
        if not self.can_run(name, spec.requirements):
            cause = no_offer(spec.name, name, self._backends.get(name), spec.requirements)
            return Refused("Skylift.NoOffer", cause)
        if spec.requirements.place is not None and not self._honours(name, spec.requirements):
            return Refused("Skylift.NoOffer", not_honoured(spec.name, self._backends[name], spec.requirements))
        return WorkerRoute(spec=spec, backend=name, callback=callback, payload=payload)

    def _honours(self, backend: str, requirements: Requirements) -> bool:
        """Whether what a plan has bought is among the offers, as long as it has the memory."""
        bought = requirements.place
        outgrown = bought is not None and (requirements.memory_mib or 0) > bought.memory_mib
        return outgrown or any(is_bought(offer, bought) for offer in self._backends[backend].offers(requirements))

    def _placed(self, spec: TaskSpec, attributes: Mapping[str, str]) -> str:
        if spec.requirements.place is not None:
            return spec.requirements.place.backend
        return placed(spec, attributes, self._placement) or self._default or ""

    def can_run(self, backend: str, requirements: Requirements) -> bool:
        if requirements == PLAIN:
            return True
        key = (backend, msgspec.json.encode(requirements))
        if key in self._feasible:
            return True
        there = self._backends.get(backend)
        if there is None or not there.offers(requirements):
            return False  # not for ever: clusters grow
        self._feasible.add(key)
        return True

    def most_memory_mib(self, backend: str, requirements: Requirements) -> int | None:
        """Of the offers for such a task, whatever memory that asks for; None where there is none."""
        there = self._backends.get(backend)
        offers = () if there is None else there.offers(msgspec.structs.replace(requirements, memory_mib=None))
        return max((offer.memory_mib for offer in offers), default=None)

    def larger(self, backend: str) -> tuple[str, ...]:
        """Where an attempt may go that has outgrown a backend, the next one first."""
        names = self._escalate
        return names[names.index(backend) + 1 :] if backend in names else ()


def worker_of(resource: str, arguments: Any) -> str | None:
    """The task of ours, or the function, that a Task state names; None for what no worker does."""
    if resource.startswith(_SKYLIFT):
        return resource.removeprefix(_SKYLIFT).removesuffix(_CALLBACK)
    if resource.startswith(_LAMBDA):
        name = arguments.get("FunctionName") if isinstance(arguments, dict) else None
        return name if isinstance(name, str) else None
    return resource if ":function:" in resource else None


def _importable(route: Route) -> Route:
    """The same place for code that is not the run's own."""
    if type(route) is WorkerRoute:
        return msgspec.structs.replace(route, bundled=False)
    if type(route) is ActivityRoute and route.work is not None:
        return ActivityRoute(route.queue, msgspec.structs.replace(route.work, bundled=False))
    return route


def _nested(resource: str) -> Route:
    if resource.startswith(_SDK):
        return _NESTED_SDK[resource[len(_SDK) :]]
    modes: dict[str, NestedMode] = {"": "fire", ".sync": "sync", ".sync:2": "sync:2", _CALLBACK: "callback"}
    mode = modes.get(resource[len(_NESTED) :])
    if mode is None:
        return Refused("Skylift.UnknownResource", f"{resource} is no form of startExecution: use .sync or .sync:2.")
    return NestedRoute(mode)
