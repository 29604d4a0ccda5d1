"""Outputs that were recorded before, by task or step: what stands here need not be run to know what it gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skylift.errors import SetupError
from skylift.ports.compute import Succeeded, TaskCall


class ResultsInvalid(SetupError):
    """A file of recorded results that cannot be used."""

    code = "RESULTS"


def read_results(place: Path) -> dict[str, Any]:
    """Raises ResultsInvalid."""
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ResultsInvalid(f"{place} cannot be read: {problem}", hint="see [backends.simulated] results") from None
    if not isinstance(content, dict):
        raise ResultsInvalid(f'{place} is not an object: write {{"TASK": OUTPUT, "STEP[3]": OUTPUT}}')
    return content


def recorded(call: TaskCall, results: Mapping[str, Any]) -> Succeeded | None:
    """Only for work whose length is declared: else nobody knows how long it takes."""
    if call.requirements.work_ms is None:
        return None
    for name in (call.label, call.task):
        if name in results:
            return Succeeded(output=results[name])
    return None
