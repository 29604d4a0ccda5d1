"""Ids, tokens, digests and ARNs: how runs and attempts are called."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from typing import Any

import msgspec

from skylift.errors import AuthorError
from skylift.ports.journal import MachineType, RunRecord

_ACCOUNT = "arn:aws:states:local:000000000000"
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_canonical = msgspec.json.Encoder(order="deterministic")


def new_run_id() -> str:
    """16 characters of a-z and 2-7, random: the first few are enough for people to tell runs apart."""
    return _as_id(os.urandom(10))


def child_run_id(token: str) -> str:
    """Of the nested run that the attempt with this global token starts; the same again after a crash."""
    return _as_id(hashlib.sha256(token.encode()).digest()[:10])


def _as_id(data: bytes) -> str:
    """Base 32 of 10 bytes, as RFC 4648 has it but in lower case. The standard library's takes five times as long,
    which a warm call would notice."""
    number = int.from_bytes(data, "big")
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(70, -1, -10)])


def seed_of(run_id: str) -> int:
    """The 64-bit seed of a run."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:8], "big")


def input_digest(value: Any) -> str:
    """SHA-256 of the canonical JSON text: keys in order. Raises AuthorError for what is no JSON or nested too deep."""
    try:
        return hashlib.sha256(_canonical.encode(value)).hexdigest()
    except (RecursionError, TypeError, ValueError) as problem:
        raise AuthorError(
            f"the input of a run must be JSON that is not nested too deeply: {problem}", code="INPUT-NOT-JSON"
        ) from problem


def global_token(run_id: str, token: str) -> str:
    """An attempt's token, unique over all runs."""
    return f"{run_id}:{token}"


def split_token(token: str) -> tuple[str, str]:
    """Run id and the token inside the run; the second is empty for what is no global token."""
    run_id, _, local = token.partition(":")
    return run_id, local


@lru_cache(maxsize=1024)  # every run asks, and there are few pipelines
def machine_arn(pipeline: str) -> str:
    """Of a server's state machine the pipeline is its ARN."""
    return pipeline if _is_arn(pipeline) else f"{_ACCOUNT}:stateMachine:{pipeline}"


@lru_cache(maxsize=1024)
def machine_name(pipeline: str) -> str:
    """What people call the machine."""
    return pipeline.rpartition(":")[2] if _is_arn(pipeline) else pipeline


def execution_arn(pipeline: str, name: str, type: MachineType = "STANDARD", run_id: str = "") -> str:
    """A run's ARN; an EXPRESS execution's ends with the run's id."""
    head, _, machine = machine_arn(pipeline).rpartition(":stateMachine:")
    if type == "EXPRESS":
        return f"{head}:express:{machine}:{express_name(name, run_id)}"
    return f"{head}:execution:{machine}:{name}"


def express_name(name: str, run_id: str) -> str:
    """What an EXPRESS execution is called in the journal: the service lets several have one name."""
    return name if name.endswith(f":{run_id}") else f"{name}:{run_id}"


def plain_name(record: RunRecord) -> str:
    """The name that the run was started with."""
    return record.name.removesuffix(f":{record.run_id}") if record.type == "EXPRESS" else record.name


def sibling(pipeline: str, name: str) -> str:
    """The pipeline `name` beside another one: of the same account and region, where that is a server's."""
    head, found, _ = pipeline.rpartition(":stateMachine:")
    return f"{head}{found}{name}" if _is_arn(pipeline) else name


def arn_of(record: RunRecord) -> str:
    """The ARN of a run that there is."""
    return execution_arn(record.pipeline, record.name, record.type, record.run_id)


def activity_arn(name: str, record: RunRecord) -> str:
    """Of an activity that is named or given by its ARN: in the account and region of the run."""
    if name.startswith("arn:"):
        return name
    parts = record.pipeline.split(":")
    partition, region = (parts[1], parts[3]) if parts[0] == "arn" and len(parts) > 4 else ("aws", "us-east-1")
    return f"arn:{partition}:states:{region}:{record.account}:activity:{name}"


def is_activity(resource: str) -> bool:
    parts = resource.split(":")
    return len(parts) == 7 and parts[2] == "states" and parts[5] == "activity"


def _is_arn(pipeline: str) -> bool:
    return pipeline.startswith("arn:") and ":stateMachine:" in pipeline
