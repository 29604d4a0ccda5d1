"""What a person sees of attempts that were given out in vain."""

from __future__ import annotations

from skylift.asl.events import Usage
from skylift.cli.progress import by_reason, given_again, lost_detail, shortly
from skylift.cli.show import _attempt_rows
from skylift.engine.views import Attempt, Delivery, Step

LOST = Delivery(
    label="train",
    reason="out-of-memory",
    cause="512 MiB were too little: the next try gets 1024 MiB",
    ended_ms=5,
    usage=Usage(duration_ms=2_000, peak_memory_mib=511),
    memory_mib=1024,
)


def test_progress_says_that_it_goes_on_and_with_what() -> None:
    assert given_again(LOST) == (
        "train: ran out of memory, goes on (512 MiB were too little: the next try gets 1024 MiB)"
    )


def test_show_lists_each_delivery_above_the_last() -> None:
    attempt = Attempt(
        token="1-1", label="train", state="train", number=1, resource="r", arguments={}, scheduled_ms=0, lost=[LOST]
    )
    first, last = _attempt_rows(attempt)
    assert first[2] == "OUT OF MEMORY" and first[5] == "511 MiB" and "1024 MiB" in first[6]
    assert last[2] == "RUNNING"


def test_a_step_counts_them_by_reason() -> None:
    assert lost_detail(Step(name="train", type="Task", lost={"preempted": 2, "out-of-memory": 1})) == [
        "2 preempted",
        "1 out of memory",
    ]


def test_what_waits_for_the_same_reason_is_told_once() -> None:
    told = by_reason({"a": "no machine", "b[0]": "needs 8 GiB", "b[1]": "needs 8 GiB"})
    assert [(shortly(labels), text) for text, labels in told.items()] == [
        ("b[0] and 1 more", "needs 8 GiB"),
        ("a", "no machine"),
    ]
