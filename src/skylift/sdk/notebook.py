"""How runs and graphs look in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from skylift.asl.diagram import svg
from skylift.asl.parse import load
from skylift.errors import SkyliftError

if TYPE_CHECKING:
    from skylift.engine.views import RunView, Step
    from skylift.ports.journal import RunRecord
    from skylift.runtime import Runtime
    from skylift.sdk.pipeline import Pipeline

_COLUMNS = ("step", "status", "attempts", "time")


def run_html(runtime: Runtime, record: RunRecord) -> str:
    """A run as HTML: its status, a table of steps, and its graph with the steps coloured by status."""
    view = runtime.reader.view(record)
    status = runtime.reader.shown_status(record)
    head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    rows = "".join(_row(step, record) for step in view.steps)
    graph = svg(runtime.reader.document(record), highlight=highlight(view, record))
    failure = f"<p><b>{escape(record.error or '')}</b>: {escape(record.cause or '')}</p>" if record.error else ""
    return (
        f"<div><p>run <code>{escape(record.run_id)}</code> of {escape(record.pipeline)}: <b>{escape(status)}</b></p>"
        f"{failure}<table><tr>{head}</tr>{rows}</table>{graph}</div>"
    )


def pipeline_html(pipeline: Pipeline[..., Any]) -> str:
    """A pipeline as its graph, or as the reason why it has none."""
    head = f"<p>pipeline <b>{escape(pipeline.name)}</b></p>"
    try:
        return f"<div>{head}{svg(load(pipeline.compile().definition))}</div>"
    except SkyliftError as problem:
        return f"<div>{head}<pre>{escape(problem.message)}</pre><p>{escape(problem.hint or '')}</p></div>"


def highlight(view: RunView, record: RunRecord) -> dict[str, str]:
    """State name → status, for the picture."""
    return {step.name: step_status(step, record) for step in view.steps}


def step_status(step: Step, record: RunRecord) -> str:
    """SUCCEEDED, CAUGHT, RUNNING or FAILED."""
    if step.entered <= step.exited:
        return "CAUGHT" if step.caught else "SUCCEEDED"
    return "FAILED" if record.stopped_ms is not None else "RUNNING"


def _row(step: Step, record: RunRecord) -> str:
    cells = (escape(step.name), step_status(step, record), str(step.attempts or ""), f"{step.busy_ms / 1000:.2f} s")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
