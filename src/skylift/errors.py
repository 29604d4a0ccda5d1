"""The tree of errors, split by who must act.

    SkyliftError
    ├── AuthorError      the pipeline's author: a definition, a graph or a value is wrong
    ├── SetupError       whoever runs it: a file, a setting, an id or a tool is wrong or missing
    ├── ComputeError     the place where a step ran: capacity, memory, a lost worker
    ├── RunFailed        a run ended without success; carries the States Language error and cause
    └── InternalError    us: a bug in Skylift

Every error has a stable ``code``, says what happened with the values seen, and where it can gives a ``hint``: what to
do next. The faces print ``code: message`` and the hint, never a traceback.
"""

from __future__ import annotations


class SkyliftError(Exception):
    """Root of all errors raised on purpose. A subclass sets ``code``; an instance may add a ``hint``."""

    code = "SKYLIFT"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message


class AuthorError(SkyliftError):
    """The pipeline's author must act."""

    code = "AUTHOR"


class SetupError(SkyliftError):
    """The person who set Skylift up, or who typed the command, must act."""

    code = "SETUP"


class ComputeError(SkyliftError):
    """The place where a step ran failed it; another try or another place may succeed."""

    code = "COMPUTE"


class InternalError(SkyliftError):
    """A bug in Skylift; the message asks for a report."""

    code = "INTERNAL"


class RunFailed(SkyliftError):
    """A run ended FAILED, TIMED_OUT or ABORTED.

    `error` is the name of the error (a Python class, or `States.…`), `cause` what is known of it: of a task's exception
    JSON text with errorType, errorMessage and stackTrace.
    """

    code = "RUN-FAILED"

    def __init__(self, run_id: str, status: str, error: str | None, cause: str | None) -> None:
        self.run_id = run_id
        self.status = status
        self.error = error
        self.cause = cause
        super().__init__(
            f"run {run_id} {status}: {': '.join(filter(None, (error, message_of(cause)))) or 'no cause given'}",
            hint=f"see it with `skylift show {run_id}`, go on from the failed step with `skylift redrive {run_id}`",
        )


def message_of(cause: str | None) -> str:
    """The errorMessage of a cause that is a Python exception's JSON, else the cause itself."""
    if cause and cause.startswith("{"):
        import json

        try:
            parsed = json.loads(cause)
        except ValueError:
            return cause
        if isinstance(parsed, dict) and "errorMessage" in parsed:
            return str(parsed["errorMessage"])
    return cause or ""


class JournalUnavailable(SetupError):
    """The journal cannot be used now: locked, out of space, unreadable, gone. Nothing was written."""

    code = "JOURNAL-UNAVAILABLE"


class JournalDamaged(SetupError):
    """The journal's content fails its checks."""

    code = "JOURNAL-DAMAGED"


class NotOwner(SkyliftError):
    """Another engine owns the run; this one must let go of it."""

    code = "NOT-OWNER"


class BlobMissing(SetupError):
    """A digest that the store does not hold."""

    code = "BLOB-MISSING"


class BlobDamaged(SetupError):
    """Bytes that do not match their digest."""

    code = "BLOB-DAMAGED"


class BlobUnavailable(SetupError):
    """The artifact store cannot be used now: no space, read-only, unreachable. Nothing half-written is left."""

    code = "BLOB-UNAVAILABLE"


class RunAlreadyExists(SetupError):
    """The name is taken by a run of the same pipeline with another input."""

    code = "RUN-EXISTS"


class RunNotFound(SetupError):
    """No run has this id, name or prefix, or several do."""

    code = "RUN-NOT-FOUND"
