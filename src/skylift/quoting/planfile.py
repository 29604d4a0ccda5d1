"""The file of a plan: what is bought for each step, for which version of a pipeline, and the whole plan beside it.

A plan is for a graph and for what its tasks ask for. Where either has changed it no longer says where the steps go, and
is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from skylift.errors import SetupError
from skylift.placement.plan import Plan
from skylift.placement.saved import decoded, encoded
from skylift.ports.compute import Bought, Requirements
from skylift.ports.tasks import TaskSpec
from skylift.quoting.prepare import OffersOf

FORMAT = "skylift-plan"
VERSION = 1


class PlanInvalid(SetupError):
    """A file that is no plan, or a plan for something else."""

    code = "PLAN"


class Version(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a pipeline, by content: digests of its graph, of those that it calls, and of what each task asks for."""

    graph: str
    called: dict[str, str] = {}
    tasks: dict[str, str] = {}


class PlanFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    version: int
    pipeline: str
    made_for: Version
    input: str
    """Digest of the run's input."""
    steps: dict[str, Bought]
    """Where each step goes; those that no task of ours does are not in it."""
    plan: msgspec.Raw
    """As `skylift.placement.saved` writes it."""
    digest: str
    """Of all the rest: a plan that somebody has edited is no longer what was found to keep the limits."""

    @property
    def whole(self) -> Plan:
        """Raises SetupError."""
        return decoded(bytes(self.plan))


def version_of(definition: bytes, machines: Mapping[str, bytes], tasks: Mapping[str, TaskSpec]) -> Version:
    return Version(
        graph=_digest(msgspec.json.decode(definition)),
        called={name: _digest(msgspec.json.decode(text)) for name, text in sorted(machines.items())},
        tasks={name: _digest(msgspec.to_builtins(tasks[name].requirements)) for name in sorted(tasks)},
    )


def input_digest(value: Any) -> str:
    return _digest(value)


def plan_file(pipeline: str, made_for: Version, value: Any, steps: Mapping[str, Bought], plan: Plan) -> PlanFile:
    file = PlanFile(
        format=FORMAT,
        version=VERSION,
        pipeline=pipeline,
        made_for=made_for,
        input=_digest(value),
        steps=dict(steps),
        plan=msgspec.Raw(encoded(plan)),
        digest="",
    )
    as_read = msgspec.json.decode(msgspec.json.encode(file), type=PlanFile)  # 8 processors are 8.0 then
    return msgspec.structs.replace(as_read, digest=_digest_of(as_read))


def _digest_of(file: PlanFile) -> str:
    """By content: how it is written does not matter."""
    return _digest(msgspec.json.decode(msgspec.json.encode(msgspec.structs.replace(file, digest=""))))


def write_plan(file: PlanFile, path: Path) -> None:
    """All or nothing."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n")
    temporary.replace(path)


def read_plan(path: Path) -> PlanFile:
    """Raises PlanInvalid, which says where the file is not as it must be."""
    made_by = "write one with: skylift plan FILE --out plan.json"
    try:
        text = path.read_bytes()
    except OSError as problem:
        raise PlanInvalid(f"{path} cannot be read: {problem.strerror or problem}", hint=made_by) from None
    try:
        head = msgspec.json.decode(text, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise PlanInvalid(f"{path} is no plan: {problem}", hint=made_by) from None
    if head.format != FORMAT:
        raise PlanInvalid(f"{path} is no plan: its format is {head.format!r}, not {FORMAT!r}", hint=made_by)
    if head.version != VERSION:
        raise PlanInvalid(f"{path} is a plan of version {head.version}, and this reads {VERSION}", hint="make it again")
    try:
        file = msgspec.json.decode(text, type=PlanFile)
        digest = _digest_of(file)
    except (msgspec.DecodeError, RecursionError) as problem:
        raise PlanInvalid(f"{path} is no plan: {problem}", hint="make it again; plans are not edited by hand") from None
    if digest != file.digest:
        raise PlanInvalid(
            f"{path} is not as it was written: something in it was changed",
            hint="make it again, with other limits if it is to be another plan; plans are not edited by hand",
        )
    return file


class _Head(msgspec.Struct):
    format: str = ""
    version: int = 0


def check_version(file: PlanFile, pipeline: str, now: Version, where: str) -> None:
    """Raises PlanInvalid, which says what has changed since."""
    if file.pipeline != pipeline:
        raise PlanInvalid(
            f"{where} is a plan of {file.pipeline!r}, and this is {pipeline!r}", hint=f"make one for {pipeline!r}"
        )
    changed = _changes(file.made_for, now)
    if changed:
        raise PlanInvalid(
            f"{where} was made for another version of {pipeline}: {'; '.join(changed)}",
            hint="make the plan again: skylift plan",
        )


def check_offers(file: PlanFile, offers: OffersOf, backends: Collection[str], where: str) -> None:
    """Whether all that it buys is still to be had: before the first step is paid for. Raises PlanInvalid."""
    known: dict[str, bool] = {}
    gone = []
    for step, bought in sorted(file.steps.items()):
        key = str(bought)
        if key not in known:
            known[key] = bought.backend in backends and bool(offers(bought.backend, _wanting(bought)))
        if not known[key]:
            gone.append((step, bought))
    if gone:
        step, bought = gone[0]
        more = f", nor what it has for {len(gone) - 1} other steps" if len(gone) > 1 else ""
        raise PlanInvalid(
            f"{where} has {bought} for {step}, and {bought.backend} does not offer that now{more}: its settings, its "
            "quotas or its prices are not those of the plan",
            hint="make the plan again: skylift plan",
        )


def _wanting(bought: Bought) -> Requirements:
    """What a task that fits there would ask for."""
    return Requirements(
        cpus=bought.vcpus or 1.0,
        memory_mib=bought.memory_mib,
        gpu=f"{bought.gpu}:{bought.gpus}" if bought.gpu and bought.gpus else None,
        spot=bought.market == "spot",
        place=bought,
    )


def _changes(then: Version, now: Version) -> list[str]:
    found = ["its graph has changed"] if then.graph != now.graph else []
    for name in sorted({*then.called, *now.called}):
        if then.called.get(name) != now.called.get(name):
            found.append(f"the pipeline {name} that it calls has changed")
    for name in sorted({*then.tasks, *now.tasks}):
        if name not in then.tasks:
            found.append(f"task {name} is new")
        elif name not in now.tasks:
            found.append(f"task {name} is gone")
        elif then.tasks[name] != now.tasks[name]:
            found.append(f"task {name} asks for something else now")
    return found


def _digest(value: Any) -> str:
    return sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
