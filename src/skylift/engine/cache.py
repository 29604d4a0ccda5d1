"""Whether a task's result is known already, and why or why not."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from skylift.ports.tasks import TaskSpec

_canonical = msgspec.json.Encoder(order="deterministic")


def cache_key(spec: TaskSpec, arguments: Any, account: str) -> str:
    """Digest of code closure, inputs and environment, and of the account: a client says itself what the fingerprint of
    its code is, so one account could otherwise ask for the results of another."""
    whose = [account] if account else []
    parts = [spec.target, spec.fingerprint, _environment(spec), arguments, *whose]
    return hashlib.sha256(_canonical.encode(parts)).hexdigest()


def explain_miss(spec: TaskSpec, arguments: Any, before: TaskSpec, before_arguments: Any) -> list[str]:
    """Why an attempt did not take the result of an earlier one: what differs. Empty when nothing does (the earlier
    one failed, or its run was deleted)."""
    reasons = []
    if (spec.target, spec.fingerprint) != (before.target, before.fingerprint):
        reasons.append("its code, or project code that it uses, has changed")
    if _environment(spec) != _environment(before):
        reasons.append("its environment has changed")
    return reasons + _changed_inputs(arguments, before_arguments)


def _changed_inputs(arguments: Any, before: Any) -> list[str]:
    if _canonical.encode(arguments) == _canonical.encode(before):
        return []
    if not (isinstance(arguments, dict) and isinstance(before, dict)):
        return ["its input has changed"]
    names = [
        name
        for name in sorted({*arguments, *before})
        if _canonical.encode(arguments.get(name)) != _canonical.encode(before.get(name))
    ]
    return [f"its input {', '.join(names)} has changed"]


def _environment(spec: TaskSpec) -> list[Any]:
    needs = spec.requirements
    return [needs.environment, needs.image, sorted(needs.env.items())]
