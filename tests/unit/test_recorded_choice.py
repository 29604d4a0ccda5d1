"""Which attempt a person means who names a step of a run."""

from __future__ import annotations

import pytest

from skylift.engine.views import Attempt, AttemptStatus
from skylift.errors import RunNotFound
from skylift.recorded import OPENED, choose_attempt


def attempt(label: str, number: int = 1, status: AttemptStatus = "SUCCEEDED") -> Attempt:
    return Attempt(
        token=f"{label}-{number}",
        label=label,
        state=label.rpartition(".")[2],
        number=number,
        resource="arn",
        arguments=None,
        scheduled_ms=0,
        status=status,
    )


ITEMS = [
    attempt("part for i[0].part"),
    attempt("part for i[1].part", 1, "FAILED"),
    attempt("part for i[1].part", 2, "FAILED"),
    attempt("part for i[2].part", 1, "FAILED"),
    attempt("part for i[2].part", 2),
    attempt("part for i[11].part", 1, "RUNNING"),
]


def test_of_several_items_the_one_that_failed_is_meant() -> None:
    """The last item was taken, which was well."""
    assert choose_attempt(ITEMS, "part", None).token == "part for i[1].part-2"
    assert choose_attempt(ITEMS, "part", 1).token == "part for i[2].part-1"
    assert choose_attempt(ITEMS[:1], "part", None).token == "part for i[0].part-1"


def test_a_prompt_is_opened_in_the_one_that_runs() -> None:
    assert choose_attempt(ITEMS, "part", None, OPENED).token == "part for i[11].part-1"


def test_of_one_step_the_last_try_is_meant_however_it_ended() -> None:
    tries = [attempt("train", 1, "FAILED"), attempt("train", 2)]
    assert choose_attempt(tries, "train", None).number == 2


def test_an_item_is_named_by_the_end_of_its_label() -> None:
    assert choose_attempt(ITEMS, "i[1].part", None).token == "part for i[1].part-2"
    assert choose_attempt(ITEMS, "part for i[0].part", None).token == "part for i[0].part-1"
    for wrong in ("[1].part", "1].part", "art", "", "i[1]"):
        with pytest.raises(RunNotFound, match="no task ran as"):
            choose_attempt(ITEMS, wrong, None)


def test_the_tries_there_are_are_named_once() -> None:
    with pytest.raises(RunNotFound) as caught:
        choose_attempt(ITEMS, "part", 9)
    assert caught.value.hint == "it has 1, 2"
