"""Watches a box, and runs the stop command when it has been idle for so long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from skylift.box.idle import Verdict, begin, judge
from skylift.box.signs import Source

TRIES = 5
"""How often a stop command that fails is run again."""


def watch(
    sources: Sequence[Source],
    stop: Callable[[], int],
    *,
    after_ms: int,
    every_ms: int,
    now_ms: Callable[[], int],
    sleep: Callable[[float], Any],
    say: Callable[[str], None],
) -> int:
    """Until the stop command has succeeded: 0; or has failed again and again: its exit status. `sleep` takes
    seconds."""
    idle = begin(now_ms())
    failures, awake = 0, True
    while True:
        sleep(every_ms / 1000)
        now = now_ms()
        signs = [source.look(now) for source in sources]
        idle, verdict = judge(idle, signs, now_ms=now, after_ms=after_ms, every_ms=every_ms)
        awake = _told(verdict, awake, every_ms, say)
        if not verdict.stop:
            failures = 0
            continue
        say(f"idle for {verdict.quiet_ms // 1000} s: stopping")
        status = stop()
        if status == 0:
            return 0
        failures += 1
        say(f"the stop command failed with exit status {status}, for the {failures}. time")
        if failures == TRIES:
            return status


def _told(verdict: Verdict, awake: bool, every_ms: int, say: Callable[[str], None]) -> bool:
    """Only what changes."""
    now = verdict.quiet_ms < every_ms
    if now and not awake:
        by = ", ".join(f"{sign.source} ({sign.note})" for sign in verdict.awake_by[:3])
        say(f"in use again: {by or 'the machine slept'}")
    elif awake and not now:
        say("quiet")
    return now
