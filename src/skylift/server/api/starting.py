"""A start that a client asks for: everything it names is checked before the engine sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from skylift.asl.parse import load
from skylift.engine.calls import KEEP_ATTRIBUTE, LONGEST_KEPT_MS, keep_of
from skylift.engine.inputs import StartRun
from skylift.engine.limits import BUDGET_ATTRIBUTE
from skylift.engine.placing import is_lent
from skylift.errors import JournalDamaged, RunAlreadyExists
from skylift.ports.journal import RunRecord
from skylift.ports.tasks import TaskTable
from skylift.remote.wire import StartRequest
from skylift.runtime import SPEED_ATTRIBUTE
from skylift.server.api.answers import Refusal
from skylift.server.api.limits import MOST_TASKS, RUN_ID, check_digest, check_name
from skylift.server.api.services import Services
from skylift.server.caller import Caller
from skylift.units import parse_usd
from skylift.values.tags import direct_references

_TARGET = re.compile(r"[^\s:]{1,500}:[^\s:]{1,500}")
MOST_ATTRIBUTES = 20
LONGEST_ATTRIBUTE = 1_000
LONGEST_BUDGET = 40
NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})
RESERVED = frozenset({"version", "alias", "revision", "trace", "trigger"})
"""Attributes that the server itself writes, and believes."""


async def start_run(services: Services, caller: Caller, given: StartRequest, arn: str) -> RunRecord:
    """Start, or find the run that was started before by the same name or id with the same input; its record."""
    context = services.context
    definition, tasks = await context.blocking(checked_start, services, caller, given)
    start = StartRun(
        definition=definition,
        pipeline=arn,
        tasks=tasks,
        input=given.input,
        name=given.name,
        run_id=given.run_id,
        context={"Execution": {"RoleArn": role_arn(caller.account)}},
        attributes=given.attributes,
        account=caller.account,
        limits="local",
    )
    return await begin(services, caller, start)


def role_arn(account: str) -> str:
    """What the context object of a run says that was started without a role: nothing here is done in one."""
    return f"arn:aws:iam::{account}:role/skylift"


async def begin(services: Services, caller: Caller, start: StartRun) -> RunRecord:
    """Durably; the record of the run. Raises what the engine refuses with; of another account's run nothing is said."""
    context = services.context
    started, _ = context.engine.begin(start)
    try:
        run_id = await context.reply(started, 60)
    except RunAlreadyExists:
        known = await context.blocking(context.journal.run, start.run_id) if start.run_id is not None else None
        if known is not None and known.account != caller.account:
            raise _id_taken(known.run_id) from None
        raise
    record = await context.blocking(context.journal.run, run_id)
    if record is None or record.account != caller.account:
        raise _id_taken(run_id)
    return record


def _id_taken(run_id: str) -> Refusal:
    return Refusal(409, "RUN-EXISTS", f"there is a run with the id {run_id}", hint="leave run_id out")


def checked_start(services: Services, caller: Caller, given: StartRequest) -> tuple[str, str | None]:
    """Digests of definition and task table. Blocking. Raises Refusal, InvalidDefinition."""
    check_name("pipeline", given.pipeline)
    if given.name is not None:
        check_name("the run's name", given.name)
    if given.run_id is not None and RUN_ID.fullmatch(given.run_id) is None:
        raise Refusal(400, "NAME", f"run_id {given.run_id[:100]!r} is not 16 characters of a-z and 2-7")
    _check_attributes(given.attributes)
    check_references(services, caller, given.input)
    return checked_documents(services, caller, _definition(services, caller, given), given.tasks, given.attributes)


def checked_documents(
    services: Services,
    caller: Caller,
    definition: str,
    tasks: str | None,
    attributes: Mapping[str, str] = NO_ATTRIBUTES,
) -> tuple[str, str | None]:
    """Both must be there, the account's and sound; code only where an administrator allows it, or where the run's
    `attributes` have it run on the account's own boxes. Blocking."""
    load(_document(services, caller, "definition", definition))
    if tasks is not None:
        _check_table(services, caller, _table(_document(services, caller, "tasks", tasks)), attributes)
    return definition, tasks


def _definition(services: Services, caller: Caller, given: StartRequest) -> str:
    if (given.definition is None) == (given.document is None):
        raise Refusal(400, "BODY", "give either definition, a digest, or document, the States Language document")
    if given.definition is not None:
        return given.definition
    text = msgspec.json.encode(given.document)
    load(text)
    digest = services.context.journal.put_document(text)
    services.visible.grant(caller.account, digest)
    return digest


def _document(services: Services, caller: Caller, what: str, digest: str) -> bytes:
    check_digest(what, digest)
    lacking = Refusal(
        409, "DOCUMENT-MISSING", f"{what}: no document {digest} was put", hint=f"PUT /v1/documents/{digest} first"
    )
    if not services.visible.was_put(caller.account, digest):
        raise lacking
    try:
        return services.context.journal.document(digest)
    except JournalDamaged:
        raise lacking from None


def _table(text: bytes) -> TaskTable:
    try:
        return msgspec.json.decode(text, type=TaskTable)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Refusal(400, "TASKS", f"tasks is no task table: {problem}") from None


def _check_budget(said: str, what: str) -> None:
    if len(said) > LONGEST_BUDGET:
        raise Refusal(400, "ATTRIBUTES", f"{what} is {said[:LONGEST_BUDGET]}…", hint="write for example 12.50")
    parse_usd(said, what)


def _check_table(services: Services, caller: Caller, table: TaskTable, attributes: Mapping[str, str]) -> None:
    if len(table.tasks) > MOST_TASKS or len(table.machines) > MOST_TASKS:
        raise Refusal(400, "TASKS", f"the task table has more than {MOST_TASKS} tasks or pipelines")
    if table.budget:
        _check_budget(table.budget, "the budget of the task table")
    for name, spec in table.tasks.items():
        check_name("task", name)
        if spec.name != name or (spec.target and _TARGET.fullmatch(spec.target) is None):
            raise Refusal(400, "TASKS", f"task {name}: name {spec.name!r} or target {spec.target!r} is wrong")
    for name, digest in table.machines.items():
        check_name("pipeline", name)
        load(_document(services, caller, f"pipeline {name}", digest))
    placement = services.context.runtime.config.placement
    if any(spec.target and not is_lent(spec, attributes, placement) for spec in table.tasks.values()):
        require_code(services, caller)
    for name, spec in table.tasks.items():
        packages = spec.requirements.environment
        if packages is not None and not services.visible.was_put(caller.account, packages):
            raise Refusal(
                409, "BUNDLE-MISSING", f"the packages of task {name} were not put", hint="PUT /v1/blobs first"
            )
    if table.bundle is not None:
        check_digest("bundle", table.bundle)
        if not services.visible.was_put(caller.account, table.bundle):
            raise Refusal(409, "BUNDLE-MISSING", f"the code {table.bundle} was not put", hint="PUT /v1/blobs first")


def require_code(services: Services, caller: Caller) -> None:
    """Raises Refusal for an account whose code does not run here."""
    allowed = services.context.settings.allow_code
    if caller.account not in allowed and "*" not in allowed:
        raise Refusal(
            403,
            "CODE-NOT-ALLOWED",
            f"this server runs no code of account {caller.account}",
            hint=f'an administrator can allow it: [server] allow_code = ["{caller.account}"] in its skylift.toml',
        )


def check_references(services: Services, caller: Caller, value: Any) -> None:
    """Artifacts in the input must be the account's own: a start must not open those of others."""
    for digest in direct_references(value):
        if not services.visible.was_put(caller.account, digest):
            raise Refusal(400, "BLOB-MISSING", f"the input refers to an artifact {digest} that was not put")


def _check_attributes(attributes: dict[str, str]) -> None:
    if len(attributes) > MOST_ATTRIBUTES or any(
        len(text) > LONGEST_ATTRIBUTE for pair in attributes.items() for text in pair
    ):
        raise Refusal(400, "ATTRIBUTES", f"at most {MOST_ATTRIBUTES} attributes of {LONGEST_ATTRIBUTE} characters")
    if reserved := sorted(RESERVED & attributes.keys()):
        raise Refusal(400, "ATTRIBUTES", f"the attribute {reserved[0]} is the server's own", hint="choose another name")
    kept = attributes.get(KEEP_ATTRIBUTE)
    if kept is not None and (keep_of(attributes) is None or int(kept) > LONGEST_KEPT_MS):
        raise Refusal(
            400,
            "ATTRIBUTES",
            f"{KEEP_ATTRIBUTE} is {kept[:40]!r}",
            hint=f"it is milliseconds, at most {LONGEST_KEPT_MS} (a day)",
        )
    if BUDGET_ATTRIBUTE in attributes:
        _check_budget(attributes[BUDGET_ATTRIBUTE], "the attribute budget")
    if SPEED_ATTRIBUTE in attributes:
        raise Refusal(400, "ATTRIBUTES", "time passes on a server as it does", hint="use --speed without --server")
