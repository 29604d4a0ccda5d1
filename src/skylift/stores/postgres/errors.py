"""What PostgreSQL's errors mean to the person who runs the server."""

from __future__ import annotations

import psycopg

from skylift.errors import JournalDamaged, JournalUnavailable, SkyliftError

_AGAIN = "look at the database server and the network; Skylift tries again on its own"

_UNAVAILABLE = {
    "08": ("cannot be reached", _AGAIN),
    "28": ("does not let us in", "check user and password in the store's URL and the server's pg_hba.conf"),
    "3D": ("does not exist", "create the database, or correct the store's URL"),
    "25": (
        "cannot be written: it is read-only",
        "point the store's URL at the primary server, or end its read-only mode",
    ),
    "53": ("is out of resources", "free memory, disk space or connections of the database server"),
    "53100": (
        "cannot grow: its disk is full",
        "free some space on the database server; Skylift then goes on by itself",
    ),
    "53300": ("takes no more connections", "raise max_connections of the server, or end other programs"),
    "42501": ("refuses: no permission", "give the store's user the right to create and use the schema"),
    "55P03": ("is locked by another session", "find what holds the lock in pg_stat_activity, or try again"),
    "57014": ("did not answer in time", "the server is overloaded or stalled: look at it"),
    "57P": ("is starting or stopping", "wait until it is up; Skylift tries again on its own"),
    "58": ("cannot read or write its files", "look at the database server's disk and log"),
}
_SAID = (
    ("read-only", "25"),
    ("in recovery", "25"),
    ("authentication failed", "28"),
    ("no pg_hba.conf entry", "28"),
    ("no password supplied", "28"),
    ("does not exist", "3D"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
    ("database system is", "57P"),
)
"""A connection that was refused has no code, only words."""
_DAMAGED = ("XX001", "XX002", "42P01", "42883", "42703")
_RETRY = ("40001", "40P01")
FENCED, NOT_OWNED = "SK003", "SK001"
"""What our own functions raise."""


def is_lost(error: BaseException, connection: psycopg.Connection) -> bool:
    """Did the connection go, so that nobody knows what the server still did?"""
    state = getattr(error, "sqlstate", None) or ""
    return connection.closed or connection.broken or type(error).__name__ == "_WaitTimeout" or state[:3] == "57P"


def is_broken(error: psycopg.OperationalError) -> bool:
    """Was it the connection that failed, not the statement?"""
    return not error.sqlstate or error.sqlstate[:3] == "57P" or error.sqlstate[:2] == "08"


def is_ended(error: psycopg.Error) -> bool:
    """Somebody had the server end this session, or it is being shut down in order: it has answered, at any rate."""
    return error.sqlstate == "57P01"


def is_retried(error: psycopg.Error) -> bool:
    """Two transactions got in each other's way; the one that was taken back may try again."""
    return error.sqlstate in _RETRY


def translate(error: psycopg.Error, place: str, *, uncertain: bool = False) -> Exception:
    """As the journal's errors; ValueError for a value that PostgreSQL cannot hold."""
    state = error.sqlstate or ""
    if state in _DAMAGED:
        return JournalDamaged(
            f"the {place} is not a whole Skylift store: {_said(error)}", hint="restore it from a backup"
        )
    if state[:2] in ("22", "54") or (isinstance(error, psycopg.DataError) and not state):
        return ValueError(f"the {place} cannot hold the value: {_said(error)}")
    return unavailable(error, place, uncertain=uncertain)


def unavailable(error: psycopg.Error, place: str, *, uncertain: bool = False) -> SkyliftError:
    state = error.sqlstate or ("08" if isinstance(error, psycopg.OperationalError) else "")
    if not error.sqlstate:
        state = next((known for words, known in _SAID if words in str(error)), state)
    if type(error).__name__ == "_WaitTimeout":
        state = "57014"
    known = (_UNAVAILABLE.get(key) for key in (state, state[:3], state[:2]))
    what, hint = next((one for one in known if one), ("cannot be used", "look at the database server's log"))
    written = (
        "whether the change was written will be known when it answers again" if uncertain else "nothing was written"
    )
    return JournalUnavailable(f"the {place} {what}: {_said(error)}; {written}", hint=hint)


def _said(error: psycopg.Error) -> str:
    """What the server or its library said: one line, and never a connection string."""
    text = error.diag.message_primary or str(error)
    return " ".join(text.split())[:400] or type(error).__name__
