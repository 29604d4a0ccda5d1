"""What client and server say to each other under `/v1`: requests and answers as JSON."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from skylift.ports.journal import RunRecord

ENTRIES_PAGE = 2_000
"""Most entries of a run in one answer."""
LOG_BYTES = 4 * 1024 * 1024
"""Most bytes of logs in one answer."""
WAIT_S = 20.0
"""How long one request waits for the end of a run."""


DigestText = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal digits."""
RunId = Annotated[str, Meta(pattern="^[a-z2-7]{16}$")]
Token = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
"""An attempt's, inside its run."""
Name = Annotated[str, Meta(min_length=1, max_length=80)]
"""Without spaces, control characters and any of `<>{}[]?*"#%\\^|~$&,;:/` and the backtick."""


class RunState(RunRecord, kw_only=True):
    """A run as the server shows it: its record with the pipeline's plain name; `owner` only says whether it is open."""

    execution_arn: str
    machine_arn: str


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. `next` is the `before` of the next page; None on the last."""

    runs: list[RunState]
    next: str | None = None


class StartRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/runs`. Either `definition` or `document` is given."""

    pipeline: Name
    definition: DigestText | None = None
    """Digest of a document that was put before."""
    document: Any = None
    """The States Language document itself."""
    tasks: DigestText | None = None
    """Digest of a task table that was put before."""
    input: Any = None
    name: Name | None = None
    run_id: RunId | None = None
    """Chosen by the client, so that a start that is sent again is the same start."""
    attributes: dict[str, str] = {}


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="stop", forbid_unknown_fields=True):
    error: str | None = None
    cause: str | None = None


class Pause(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="pause", forbid_unknown_fields=True):
    pass


class Resume(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="resume", forbid_unknown_fields=True):
    budget: str | None = None
    """What it may cost from now on, in US dollars."""


class Redrive(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="redrive", forbid_unknown_fields=True):
    pass


class Succeed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="succeed", forbid_unknown_fields=True):
    """The answer to a task that waits for one."""

    token: Token
    """The attempt's, as the run's history has it."""
    output: Any = None


class Fail(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="fail", forbid_unknown_fields=True):
    token: Token
    error: str | None = None
    cause: str | None = None


SignalRequest = Stop | Pause | Resume | Redrive | Succeed | Fail
"""`POST /v1/runs/RUN/signals`."""


class LogPositions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/runs/RUN/logs`: how far the log of each attempt, by its token, is known."""

    positions: dict[Token, Annotated[int, Meta(ge=0, lt=2**53)]]
    """In bytes; whole numbers are written without a fraction."""


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """Of what was put."""

    digest: str


class Registration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`PUT /v1/pipelines/NAME`."""

    definition: DigestText
    """Digest of a document that was put before."""
    tasks: DigestText | None = None
    parameters: dict[str, Any] = {}
    """JSON Schema of the input, an object; empty for a document, which takes any input."""
    defaults: dict[str, Any] = {}
    """Values of the parameters that may be left out."""
    result: dict[str, Any] = {}
    """JSON Schema of the output."""
    description: str = ""


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """What a client needs to know of a registered pipeline."""

    name: str
    arn: str
    url: str
    """Path where runs of it are started."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str
    hint: str | None = None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every refusal."""

    error: Problem
