"""What a backend says in its capabilities, as tests: adoption, leases, gangs, kept places, prompts.

Part of `BackendConformance`; what a backend does not say is skipped.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import msgspec

from skylift.ports.compute import Cancelled, Failed, Lost, Outcome, Requirements, Succeeded, TaskCall
from skylift.testing.backend_harness import WAIT_S, Harness, Outcomes, call, skip_unless, until

FOREVER_MS = 600_000


class BackendAbilities:
    # Adoption ---------------------------------------------------------------------------------------------------

    def test_what_runs_is_adopted_by_the_next_engine_and_runs_once(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.outlives_engine, "outlives its engine")
        mark = harness.folder / "runs"
        running = call("append_after", path=str(mark), text="r", ms=2500)
        ended = call("append_after", path=str(mark), text="e", ms=1)
        harness.backend.submit([running, ended])
        harness.wait(ended)
        _runs(harness, running)
        outcomes = _succeed(harness)
        harness.backend.submit([running])
        [outcome] = outcomes.wait(running.token, timeout=WAIT_S * harness.patience)
        assert isinstance(outcome, Succeeded) and outcome.output == "r"
        assert sorted(mark.read_text()) == ["e", "r"]

    def test_an_outcome_that_came_while_nobody_listened_is_told(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.outlives_engine, "outlives its engine")
        mark = harness.folder / "runs"
        one = call("append_after", path=str(mark), text="x", ms=2_500)
        harness.backend.submit([one])
        _runs(harness, one)
        (harness.abandon or harness.backend.close)()
        until(mark.exists, WAIT_S * harness.patience)
        time.sleep(0.3)
        outcomes = _succeed(harness, gone=True)
        harness.backend.submit([one])
        [outcome] = outcomes.wait(one.token, timeout=WAIT_S * harness.patience)
        assert isinstance(outcome, Succeeded) and outcome.output == "x"
        assert mark.read_text() == "x"

    def test_a_loss_is_not_told_again_to_the_next_engine(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.outlives_engine, "outlives its engine")
        one = call("die_once", mark=str(harness.folder / "mark"))
        [lost] = harness.run(one)
        assert isinstance(lost, Lost)
        outcomes = _succeed(harness)
        harness.backend.submit([msgspec.structs.replace(one, delivery=2)])
        [outcome] = outcomes.wait(one.token, timeout=WAIT_S * harness.patience)
        assert isinstance(outcome, Succeeded), outcome
        assert outcomes.order == [one.token]

    def test_what_was_adopted_can_be_cancelled(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.outlives_engine, "outlives its engine")
        one = call("nap", ms=FOREVER_MS)
        harness.backend.submit([one])
        _runs(harness, one)
        outcomes = _succeed(harness)
        harness.backend.submit([one])
        _runs(harness, one)
        harness.backend.cancel([one.token])
        [outcome] = outcomes.wait(one.token, timeout=WAIT_S * harness.patience)
        assert isinstance(outcome, Cancelled)
        assert harness.backend.poll([one.token]) == {}

    # Leases -----------------------------------------------------------------------------------------------------

    def test_what_exists_says_until_when_and_for_whom(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.leases, "gives leases")
        one = call("nap", ms=FOREVER_MS)
        harness.backend.submit([one])
        _runs(harness, one)
        found = harness.backend.leased()
        assert found
        assert all(leased.backend == harness.backend.name and leased.until_ms > time.time() * 1000 for leased in found)
        assert len({leased.id for leased in found}) == len(found)

    def test_whatever_is_ended_is_gone_and_its_attempt_lost(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.leases, "gives leases")
        begun = harness.folder / "begun"
        one = call("note_and_nap", path=str(begun), ms=FOREVER_MS)
        harness.backend.submit([one])
        until(begun.exists, WAIT_S * harness.patience)  # what a worker has not begun is not lost with it
        harness.backend.end(harness.backend.leased())
        [outcome] = harness.wait(one)
        assert isinstance(outcome, Lost | Cancelled), outcome
        harness.backend.end(harness.backend.leased())

    # Gangs ------------------------------------------------------------------------------------------------------

    def test_a_gang_meets_and_gives_what_rank_0_gives(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.gangs, "runs gangs")
        [outcome] = harness.run(call("meet", requirements=Requirements(nodes=2, cpus=0.5, timeout_ms=120_000)))
        assert isinstance(outcome, Succeeded), outcome
        assert outcome.output == {"rank": 0, "size": 2, "heard": [0, 1]}

    def test_one_lost_member_ends_the_whole_gang(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.gangs, "runs gangs")
        folder = str(harness.folder)
        needs = Requirements(nodes=2, cpus=0.5)
        outcome: Outcome
        [outcome] = harness.run(call("die_in_gang", folder=folder, requirements=needs))
        assert isinstance(outcome, Lost), outcome
        until(lambda: not _alive(harness.folder), WAIT_S * harness.patience)

    def test_what_fails_because_another_member_vanished_is_lost(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.gangs, "runs gangs")
        needs = Requirements(nodes=2, cpus=0.5, timeout_ms=120_000)
        [outcome] = harness.run(call("abandoned_in_gang", requirements=needs))
        assert isinstance(outcome, Lost) and "member 1" in outcome.reason, outcome

    def test_a_member_that_fails_by_itself_fails_the_gang(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.gangs, "runs gangs")
        [outcome] = harness.run(call("fail_in_gang", requirements=Requirements(nodes=2, cpus=0.5)))
        assert isinstance(outcome, Failed) and outcome.error == "TooSmall", outcome

    def test_a_gang_that_can_never_meet_is_refused(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.gangs, "runs gangs")
        needs = Requirements(nodes=5_000)
        assert not harness.backend.offers(needs)
        [outcome] = harness.run(call("meet", requirements=needs))
        assert isinstance(outcome, Failed) and "5000" in outcome.cause.replace(",", "")

    # Being taken back -------------------------------------------------------------------------------------------

    def test_what_is_asked_to_leave_saves_its_work_and_goes_on_elsewhere(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.releases, "releases attempts")
        enough = harness.folder / "enough"
        one = call("count_until", path=str(enough))
        one = msgspec.structs.replace(one, visit="v1")
        harness.backend.submit([one])
        until(lambda: _saved_ms(harness, one) > 0, WAIT_S * harness.patience)
        harness.backend.release([one.token, "unknown"])
        [outcome] = harness.wait(one)
        assert isinstance(outcome, Lost) and outcome.preempted, outcome
        assert outcome.usage is not None and (outcome.usage.saved_ms or 0) > 0
        assert one.token not in harness.backend.standings([one.token])
        enough.touch()
        harness.outcomes.by_token.clear()
        [outcome] = harness.run(msgspec.structs.replace(one, delivery=2))
        assert isinstance(outcome, Succeeded), outcome
        began_at, reached = outcome.output
        assert began_at > 0 and reached == began_at

    def test_what_saves_nothing_goes_on_when_asked_to_leave(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.releases, "releases attempts")
        one = call("nap", ms=3_000)
        harness.backend.submit([one])
        _runs(harness, one)
        assert _saved_ms(harness, one) == 0
        harness.backend.release([one.token])
        [outcome] = harness.wait(one)
        assert isinstance(outcome, Succeeded), outcome

    # Looking at a failure ---------------------------------------------------------------------------------------

    def test_a_prompt_opens_beside_a_running_attempt(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.shell, "opens prompts")
        one = call("nap", ms=FOREVER_MS)
        harness.backend.submit([one])
        _runs(harness, one)
        assert "here" in _said(harness, one).split()
        assert harness.backend.shell("unknown") is None

    def test_the_place_of_a_failure_is_kept_when_asked_for(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.keeps and harness.backend.capabilities.shell, "keeps failures")
        one = msgspec.structs.replace(call("fail", message="no"), keep_ms=FOREVER_MS)
        [outcome] = harness.run(one)
        assert isinstance(outcome, Failed) and outcome.error == "TooSmall"
        assert "here" in _said(harness, one).split()
        kept = [leased for leased in harness.backend.leased() if leased.token == one.token]
        assert kept and all("kept" in leased.note for leased in kept)
        harness.backend.end(kept)
        assert not [leased for leased in harness.backend.leased() if leased.token == one.token]


def _saved_ms(harness: Harness, one: TaskCall) -> float:
    standing = harness.backend.standings([one.token]).get(one.token)
    return 0.0 if standing is None else standing.saved_ms


def _runs(harness: Harness, one: TaskCall) -> None:
    def running() -> bool:
        return harness.backend.poll([one.token]).get(one.token) == "running"

    until(running, WAIT_S * harness.patience)


def _succeed(harness: Harness, *, gone: bool = False) -> Outcomes:
    """Let the backend go and put its successor in its place; what that one reports."""
    assert harness.successor is not None, "a backend that outlives its engine needs Harness.successor"
    if not gone:
        (harness.abandon or harness.backend.close)()
    outcomes = Outcomes()
    harness.backend = harness.successor(outcomes)
    harness.outcomes = outcomes
    return outcomes


def _said(harness: Harness, one: TaskCall) -> str:
    """What a prompt answers, without a terminal."""
    prompt = harness.backend.shell(one.token)
    assert prompt is not None
    words = [word for word in prompt if word not in ("-it", "-t", "--tty")]
    done = subprocess.run(words, input="echo here\n", capture_output=True, text=True, timeout=WAIT_S)
    return done.stdout + done.stderr


def _alive(folder: Path) -> bool:
    """Whether a member of `die_in_gang` still moves."""
    beats = folder / "alive"
    before = beats.stat().st_mtime_ns if beats.exists() else 0
    time.sleep(0.3)
    return (beats.stat().st_mtime_ns if beats.exists() else 0) != before
