"""The server's refusals as the errors that a local run would raise."""

from __future__ import annotations

import msgspec

from skylift.errors import (
    BlobDamaged,
    BlobMissing,
    BlobUnavailable,
    JournalDamaged,
    JournalUnavailable,
    RunAlreadyExists,
    RunNotFound,
    SetupError,
    SkyliftError,
)
from skylift.remote.wire import ErrorBody
from skylift.runtime import WrongStatus


class ServerUnreachable(SetupError):
    """Nothing answers at the server's address."""

    code = "SERVER-UNREACHABLE"


class ServerRefused(SetupError):
    """The server does not do what it was asked."""

    code = "SERVER-REFUSED"


class AccessRefused(ServerRefused):
    """The server does not know the key, or the key may not do this."""

    code = "SERVER-ACCESS"


class OnServerOnly(SetupError):
    """What can only be done where the server runs."""

    code = "ON-SERVER-ONLY"


_BY_CODE: dict[str, type[SkyliftError]] = {
    kind.code: kind
    for kind in (
        BlobDamaged,
        BlobMissing,
        BlobUnavailable,
        JournalDamaged,
        JournalUnavailable,
        RunAlreadyExists,
        RunNotFound,
        WrongStatus,
    )
}
_KEY_HINT = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or SKYLIFT_ACCESS_KEY_ID and SKYLIFT_SECRET_ACCESS_KEY) to a key "
    "that `skylift keys create` gave"
)


def not_ours(url: str, status: int) -> ServerRefused:
    """Something else answers there; what it says, often a page, would help nobody."""
    return ServerRefused(f"{url} answered with status {status}, not as Skylift", hint="is that a Skylift server?")


def problem_of(status: int, body: bytes, url: str) -> SkyliftError:
    """What a refused request raises here."""
    try:
        problem = msgspec.json.decode(body, type=ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return not_ours(url, status)
    if status in (401, 403):
        hint = problem.hint or (_KEY_HINT if status == 401 else None)
        code = AccessRefused.code if status == 401 else problem.code
        return AccessRefused(problem.message, hint=hint, code=code)
    kind = _BY_CODE.get(problem.code, ServerRefused)
    return kind(problem.message, hint=problem.hint, code=problem.code)
