"""What clients were told, to be compared with what the servers hold in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fault_machines import Job


@dataclass(slots=True, kw_only=True)
class Accepted:
    """A start that a server has taken."""

    arn: str
    job: Job
    began_s: float
    floor: int = 0
    """The newest revision that was known to be in effect before the start."""
    stopped: str | None = None
    """The cause that a StopExecution with an answer gave."""
    redriven: bool = False
    ended: dict[str, Any] | None = None
    """What DescribeExecution said first of its end."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """A worker's, with a signature of its own."""

    execution: str
    taken: bool = False
    """Did the server say that it has it?"""


@dataclass(slots=True)
class Ledger:
    starts: dict[str, Accepted] = field(default_factory=dict)
    """By ARN."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """By signature."""
    tokens: set[str] = field(default_factory=set)
    """Of activity tasks that workers got."""
    revision: int = 0
    problems: list[tuple[str, str | None]] = field(default_factory=list)
    """What is wrong, and the ARN of the execution it is about."""
    idempotent: int = 0
    """Starts made again on purpose."""

    def wrong(self, what: str, execution: str | None = None) -> None:
        self.problems.append((what, execution))
