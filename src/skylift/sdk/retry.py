"""When a task that raised is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skylift.errors import AuthorError


class RetryInvalid(AuthorError):
    """A Retry that the States Language cannot express."""

    code = "RETRY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Up to `attempts` further tries of a task that raised one of `on` (or a subclass).

    The first retry waits `interval` whole seconds, each further one `backoff` times as long, at most `max_delay`
    seconds. With `jitter` every wait is drawn between zero and that. Attempts whose worker was lost are given again
    without counting here. Raises RetryInvalid for what the States Language cannot express.

    >>> Retry(attempts=3, on=(ConnectionError,), interval=2, backoff=1.5).attempts
    3
    """

    attempts: int = 3
    on: tuple[type[BaseException], ...] | type[BaseException] = (Exception,)
    interval: int = 1
    backoff: float = 2.0
    max_delay: int | None = None
    jitter: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.on, type):
            object.__setattr__(self, "on", (self.on,))
        _check(isinstance(self.attempts, int) and 0 <= self.attempts < 10**8, "attempts", self.attempts, "0 or more")
        _check(
            isinstance(self.interval, int) and self.interval >= 1, "interval", self.interval, "1 or more whole seconds"
        )
        _check(self.backoff >= 1, "backoff", self.backoff, "1.0 or more")
        _check(self.max_delay is None or self.max_delay > 0, "max_delay", self.max_delay, "more than 0 seconds")
        _check(bool(self.classes), "on", self.on, "one or more exception classes")

    @property
    def classes(self) -> tuple[type[BaseException], ...]:
        return self.on if isinstance(self.on, tuple) else (self.on,)


def as_retry(retry: int | Retry | None) -> Retry | None:
    """`retry=2` is short for `Retry(attempts=2)`."""
    if retry is None or isinstance(retry, Retry):
        return retry
    if isinstance(retry, bool) or not isinstance(retry, int) or retry < 0:
        raise RetryInvalid(
            f"retry={retry!r} is neither a number of tries nor a Retry", hint="write retry=2 or retry=Retry(...)"
        )
    return Retry(attempts=retry) if retry else None


def _check(good: bool, name: str, value: Any, wanted: str) -> None:
    if not good:
        raise RetryInvalid(f"Retry({name}={value!r}): must be {wanted}")
