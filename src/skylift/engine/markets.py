"""On which market attempts of tasks that may run on spot are bought: the spot policy is asked when an attempt is given
out, and again while it waits or runs."""

from __future__ import annotations

from typing import Protocol

from skylift.engine.limits import EngineLimits
from skylift.engine.redelivery import deliveries_of
from skylift.engine.routes import WorkerRoute
from skylift.engine.run import Attempt
from skylift.ports.compute import Market, Requirements, SpotSight, Standing
from skylift.ports.spot import SpotPolicy, SpotState


class Sights(Protocol):
    """What backends know."""

    def sight(self, backend: str, requirements: Requirements) -> SpotSight | None: ...

    def standing(self, attempt: Attempt) -> Standing | None: ...


class Markets:
    """Asks the policy. What was seen of a market stands with the attempt; nothing else is remembered."""

    def __init__(self, sights: Sights, limits: EngineLimits, policy: SpotPolicy) -> None:
        self._sights = sights
        self._limits = limits
        self._policy = policy

    def choose(self, attempt: Attempt, now_ms: int) -> Market | None:
        """For its next delivery; None for none yet."""
        needs = spot_needs(attempt)
        if needs is None:
            return "on-demand"
        return self._policy(self._state(attempt, needs, now_ms, None, 0))

    def choose_again(self, attempt: Attempt, now_ms: int) -> None:
        """It waits for its turn, or for a pause to end: what was chosen when that began may be wrong by now."""
        market = self.choose(attempt, now_ms)
        if market is not None:
            attempt.market, attempt.given_ms = market, now_ms

    def adopt(self, attempt: Attempt, now_ms: int) -> None:
        """A backend has it already, and may know on which market."""
        self._look(attempt, spot_needs(attempt), now_ms)
        attempt.market = _first_guess(attempt)
        self._learn(attempt)

    def is_watched(self, attempt: Attempt) -> bool:
        """Whether another answer may come later."""
        needs = spot_needs(attempt)
        return needs is not None and (attempt.market != "on-demand" or bool(attempt.seen))

    def is_better_elsewhere(self, attempt: Attempt, now_ms: int, *, runs: bool) -> bool:
        """Whether the delivery that a backend holds should be taken back: one that waits for spot in vain, one on
        on-demand whose saved work is better done on spot, or later, and one on spot that would be late if it lost what
        it has not saved."""
        needs = spot_needs(attempt)
        if needs is None:
            return False
        if runs and not attempt.given_ms:
            self._learn(attempt)
        if not runs:
            waits_in_vain = self._policy(self._state(attempt, needs, now_ms, None, 0)) == "on-demand"
            return attempt.market == "spot" and waits_in_vain
        if attempt.market == "spot" and not self._is_in_danger(attempt, needs, now_ms, 0):
            return False  # whatever it has saved since it began: most are asked no further
        standing = self._sights.standing(attempt)
        saved_ms = 0 if standing is None else int(standing.saved_ms)
        if attempt.market == "spot":
            return self._is_in_danger(attempt, needs, now_ms, saved_ms)
        state = self._state(attempt, needs, now_ms, attempt.market, saved_ms)
        return saved_ms > 0 and self._policy(state) != "on-demand"

    def _is_in_danger(self, attempt: Attempt, needs: Requirements, now_ms: int, saved_ms: int) -> bool:
        state = self._state(attempt, needs, now_ms, "spot", saved_ms)
        return bool(state.seen) and self._policy(state) == "on-demand"

    def _look(
        self, attempt: Attempt, needs: Requirements | None, now_ms: int, runs_on: Market | None = None
    ) -> SpotSight | None:
        """At the market, which is noted. Who has a machine sees by that that there is one, be it the last."""
        if needs is None or not has_deadline(needs) or attempt.backend is None:
            return None
        sight = self._sights.sight(attempt.backend, needs)
        if sight is not None:
            _note(attempt, sight.available or runs_on == "spot", now_ms)
        return sight

    def _learn(self, attempt: Attempt) -> None:
        """Another engine has given it out, on a market that this one did not choose."""
        standing = self._sights.standing(attempt)
        if standing is not None:
            attempt.market = standing.market

    def _state(
        self, attempt: Attempt, needs: Requirements, now_ms: int, runs_on: Market | None, saved_ms: int
    ) -> SpotState:
        before = deliveries_of(attempt)
        sight = self._look(attempt, needs, now_ms, runs_on)
        entered = attempt.run.state.entered_ms(attempt.command.token) or attempt.command.scheduled_ms
        changeover_ms = max(int(before.startup_ms), 0 if sight is None else sight.startup_ms)
        launching_ms = 0 if runs_on is None else max(0, changeover_ms - (now_ms - attempt.given_ms))
        done_ms = max(int(before.saved_ms), saved_ms)
        return SpotState(
            now_ms=now_ms,
            elapsed_ms=max(0, now_ms - entered),
            work_ms=needs.work_ms,
            done_ms=done_ms,
            deadline_ms=needs.deadline_ms,
            changeover_ms=changeover_ms,
            preemptions=before.preempted,
            market=runs_on,
            launching_ms=launching_ms,
            repeated_ms=int(before.repeated_ms),
            keeps=done_ms > 0 or not before.preempted,
            ratio=None if sight is None else sight.ratio,
            seen=() if sight is None else _lengths(attempt.seen, now_ms),
            asked_again_ms=self._limits.market_ms,
        )


def spot_needs(attempt: Attempt) -> Requirements | None:
    """What its task asks for; None where that may not run on spot."""
    route = attempt.route
    needs = route.spec.requirements if type(route) is WorkerRoute else None
    return needs if needs is not None and needs.spot else None


def has_deadline(needs: Requirements) -> bool:
    """Whether the policy has anything to weigh; without it, spot is waited for as long as it takes."""
    return needs.deadline_ms is not None and needs.work_ms is not None


def _first_guess(attempt: Attempt) -> Market:
    return "on-demand" if spot_needs(attempt) is None else "spot"


def _note(attempt: Attempt, available: bool, now_ms: int) -> None:
    if not attempt.seen or attempt.seen[-1][0] != available:
        attempt.seen.append((available, now_ms))


def _lengths(seen: list[tuple[bool, int]], now_ms: int) -> tuple[tuple[bool, int], ...]:
    """How long each lasted, from when each began."""
    ends = [since for _, since in seen[1:]] + [now_ms]
    return tuple((available, end - since) for (available, since), end in zip(seen, ends, strict=True))
