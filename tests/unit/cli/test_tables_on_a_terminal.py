"""Tables and progress as a person sees them on a terminal of 80 columns."""

from __future__ import annotations

import io
import sys

import pytest

from skylift.cli.columns import listed, telling, widths
from skylift.cli.output import print_table
from skylift.cli.progress import _Bars, _detail
from skylift.engine.views import Fold, Step

RUNS = ("RUN", "NAME", "PIPELINE", "STATUS", "STARTED", "TOOK", "ERROR")
RUN = ("stwc6opdkhioz5sj", "planned", "trials", "SUCCEEDED", "2026-11-22 01:52:54", "3 h 45 min", "")
LEDGER = ("STEP", "ATTEMPTS", "COST", "WORK", "FAILED ATTEMPTS", "LOST TO PREEMPTION", "OVER-SIZED MEMORY", "GIVEN UP")
TRAIN = ("train", "3", "$8.173515", "$5.508000", "$0.000000", "$2.416429", "-", "$0.00")


def test_a_run_can_be_copied_from_a_line() -> None:
    found = widths(RUNS, [RUN], 80)
    assert found is not None and sum(found) + 2 * (len(found) - 1) <= 80
    assert found[0] == len(RUN[0]) and found[4] >= len("2026-11-22")


def test_wide_terminals_give_every_cell_its_width() -> None:
    assert widths(RUNS, [RUN], 200) == [max(len(a), len(b)) for a, b in zip(RUNS, RUN, strict=True)]


def test_a_path_does_not_take_the_line() -> None:
    found = widths(("STEP", "DETAIL"), [("train", "/a" * 100)], 40)
    assert found == [5, 33]


def test_names_of_errors_end_lines_at_their_points() -> None:
    found = widths(RUNS, [(*RUN[:-1], "Skylift.Environment")], 80)
    assert found is not None and found[0] == len(RUN[0]) and found[-1] >= len("Environment")


def test_no_room_for_whole_words_is_said() -> None:
    assert widths(LEDGER, [TRAIN], 60) is None


def test_columns_that_say_nothing_can_go() -> None:
    assert [LEDGER[index] for index in telling(LEDGER, [TRAIN])] == [
        "STEP",
        "ATTEMPTS",
        "COST",
        "WORK",
        "LOST TO PREEMPTION",
    ]


def test_the_cost_stays_when_it_is_nothing() -> None:
    free = ("train", "3", *["$0.000000"] * (len(LEDGER) - 2))
    assert [LEDGER[index] for index in telling(LEDGER, [free])] == ["STEP", "ATTEMPTS", "COST"]


def test_rows_are_written_as_text_where_nothing_else_helps() -> None:
    assert list(listed(LEDGER, [TRAIN], 50)) == [
        "train: attempts 3, cost $8.173515, work $5.508000,",
        "    lost to preemption $2.416429",
    ]


@pytest.mark.parametrize("room", ["40", "60", "200"])
def test_no_amount_is_broken(room: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", room)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(LEDGER, [TRAIN], empty="")
    said = capsys.readouterr()
    assert "$2.416429" in said.out
    assert ("nothing in: failed attempts, over-sized memory, given up" in said.err) is (room != "200")


@pytest.mark.parametrize(("failed", "mark"), [(1, "✗"), (0, "-")])
def test_what_stays_of_the_progress_neither_turns_nor_waits(
    failed: int, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    bars = _Bars()
    fold = Fold()
    fold.steps["load"] = Step(name="load", type="Task", entered=1, failed=failed)
    bars.update(fold)
    bars.waits({"load": "its environment is being made"})
    bars.close()
    last = screen.getvalue().strip().splitlines()
    assert len(last) == 1 and last[0].startswith(mark) and "load" in last[0]


def test_a_step_that_takes_long_says_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    bars = _Bars(clock=lambda: now)
    step = Step(name="train", type="Task", entered=1, attempts=1)
    assert bars._so_far(step) == ""
    now += 1
    assert bars._so_far(step) == ""
    now += 74.5
    assert bars._so_far(step) == "1 min 15 s so far"
    assert _detail(step, "1 min 15 s so far") == " (1 min 15 s so far)"
    fold = Fold()
    fold.steps["train"] = step
    bars._console.print(bars._table(fold))
    assert "(1 min 15 s so far)" in screen.getvalue()
    step.exited, step.busy_ms = 1, 75_400
    assert bars._so_far(step) == "" and _detail(step) == " (1 min 15 s)"
    bars.close()
