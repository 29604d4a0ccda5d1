"""`skylift run --plan`: the steps of a run bound to what a plan has bought for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from skylift.ports.tasks import TaskSpec
    from skylift.quoting.planfile import PlanFile
    from skylift.runtime import Runtime, Submission


def on_plan(runtime: Runtime, submission: Submission, value: Any, path: Path, places: Sequence[str]) -> Submission:
    """With the plan in its task table. Raises PlanInvalid for what is no plan, or one for something else."""
    from skylift.quoting.planfile import (
        PlanInvalid,
        check_offers,
        check_version,
        input_digest,
        read_plan,
        version_of,
    )
    from skylift.wiring import backend_names

    if places:
        raise PlanInvalid(f"--plan {path} and --on {places[0]} both say where steps go", hint="leave one of them out")
    if runtime.config.url is not None:
        raise PlanInvalid(
            f"--plan {path}: the server at {runtime.config.url} places runs itself",
            hint="leave out --server and SKYLIFT_URL to run the plan here",
        )
    file = read_plan(path)
    table = submission.table
    now = version_of(submission.definition, submission.machines, tasks_of(runtime, submission))
    check_version(file, submission.pipeline, now, str(path))
    _keep_its_time(runtime, file)
    check_offers(file, runtime.offers, backend_names(), str(path))
    if file.input != input_digest(value):
        click.echo(
            f"warning[PLAN]: {path} was made for another input: its times and costs need not hold for this one, and "
            "steps that it did not come to go where they would without it",
            err=True,
        )
    return msgspec.structs.replace(submission, table=msgspec.structs.replace(table, plan=dict(file.steps)))


def _keep_its_time(runtime: Runtime, file: PlanFile) -> None:
    """Without `--speed` the time of the cloud that is bought in is that of the settings. It is said before anybody asks
    a backend what it has: backends are made with the time that there is by then."""
    from skylift.quoting.placing import SIMULATED

    if runtime.speed is None and any(bought.backend == SIMULATED for bought in file.steps.values()):
        runtime.speed = runtime.config.backends.simulated.speed


def quote_of_plan(path: Path) -> dict[str, str]:
    """What the plan expects the run to cost, as an attribute that the ledger compares with."""
    from skylift.accounting import QUOTE_ATTRIBUTE, Quoted
    from skylift.quoting.planfile import read_plan

    plan = read_plan(path).whole
    quoted = Quoted(expected=float(plan.totals.cost), high=float(plan.totals.cost_high))
    return {QUOTE_ATTRIBUTE: msgspec.json.encode(quoted).decode()}


def tasks_of(runtime: Runtime, submission: Submission) -> dict[str, TaskSpec]:
    """Its tasks; of a document, which brings none, the functions of the settings."""
    from skylift.wiring import function_tasks

    return submission.table.tasks or function_tasks(runtime.config)
