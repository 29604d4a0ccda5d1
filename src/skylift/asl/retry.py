"""Which Retrier answers a failure, and after how long; which Catcher takes it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from skylift.asl.document import Catcher, Retrier
from skylift.asl.state import Failure

ALL = "States.ALL"
TASK_FAILED = "States.TaskFailed"
TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
RUNTIME = "States.Runtime"
DATA_LIMIT = "States.DataLimitExceeded"


def matches(error_equals: Sequence[str], failure: Failure) -> bool:
    """Whether a retrier's or catcher's ErrorEquals answers a failure.

    States.Runtime is never answered. A terminal failure is answered by its own name only. States.TaskFailed answers
    everything but time-outs. States.Timeout answers a missed heartbeat too.
    """
    if failure.error == RUNTIME:
        return False
    if failure.error in error_equals or any(name in error_equals for name in failure.classes):
        return True
    if failure.error == HEARTBEAT_TIMEOUT and TIMEOUT in error_equals:
        return True
    if failure.terminal:
        return False
    timed_out = failure.error in (TIMEOUT, HEARTBEAT_TIMEOUT)
    return ALL in error_equals or (TASK_FAILED in error_equals and not timed_out)


def find_retrier(retriers: Sequence[Retrier], failure: Failure, used: Sequence[int] | None) -> int | None:
    """Index of the retrier that answers, None if none does or the one that does has no attempts left.

    Only the first retrier that matches counts: when it is used up, later ones are not asked.
    """
    for index, retrier in enumerate(retriers):
        if matches(retrier.error_equals, failure):
            spent = used[index] if used is not None else 0
            return index if spent < retrier.max_attempts else None
    return None


def find_catcher(catchers: Sequence[Catcher], failure: Failure) -> int | None:
    for index, catcher in enumerate(catchers):
        if matches(catcher.error_equals, failure):
            return index
    return None


def delay_ms(retrier: Retrier, spent: int, rng: Callable[[], random.Random]) -> int:
    """How long to wait before the retry after `spent` earlier ones of the same retrier."""
    seconds = _grown(retrier, spent)
    if retrier.max_delay_seconds is not None:
        seconds = min(seconds, float(retrier.max_delay_seconds))
    if retrier.jitter_strategy == "FULL":
        seconds = rng().uniform(0.0, seconds)
    return round(seconds * 1000)


_LONGEST_S = 3_155_760_000.0
"""A hundred years: keeps a hostile backoff a number."""


def _grown(retrier: Retrier, spent: int) -> float:
    try:
        return min(retrier.interval_seconds * retrier.backoff_rate**spent, _LONGEST_S)
    except OverflowError:
        return _LONGEST_S
