"""The report as JSON for programs: exact numbers are decimals, with the formula and the source of each input."""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.advice.figures import Figure
from skylift.advice.report import Ranked, Report


def document(report: Report) -> dict[str, Any]:
    """Plain values."""
    return {
        "project": report.project,
        "description": report.description,
        "verdict": report.verdict,
        "recommended": report.recommended,
        "by_purpose": report.by_purpose,
        "if_cleared": report.if_cleared,
        "ranking": [_ranked(one) for one in report.ranking],
        "figures": [_figure(one) for one in report.figures],
        "constraints": msgspec.to_builtins(report.constraints),
        "networks": msgspec.to_builtins(report.networks),
        "lock_in": msgspec.to_builtins(report.lock_in),
        "questions": msgspec.to_builtins(report.questions),
        "assumptions": list(report.assumptions),
        "answers": report.answers,
    }


def _ranked(one: Ranked) -> dict[str, Any]:
    return {
        "id": one.option.id,
        "title": one.option.title,
        "score": one.score,
        "ruled_out": one.out,
        "reasons": msgspec.to_builtins(one.reasons),
    }


def _figure(one: Figure) -> dict[str, Any]:
    return {
        "id": one.id,
        "topic": one.topic,
        "title": one.title,
        "value": None if one.value is None else float(one.value),
        "unit": one.unit,
        "formula": one.formula,
        "working": one.working,
        "inputs": [
            {"name": given.name, "value": float(given.value), "unit": given.unit, "source": given.source}
            for given in one.inputs
        ],
        "note": one.note,
        "needs": list(one.needs),
    }
