"""What a job still costs on average, if it goes on as well as it can, in a market of one kind: a decision process.

The state is the work left w, the slack S (time left less work left), the mode, and the phase of the market: up or down,
and the bucket of its age. Idle eats slack, running eats work; a launch costs the changeover d in slack and the price of
what is launched in money, at once. With less than 2 d of slack the safety net has the last word, so tables begin there.
Both axes are cut into steps, and within a step the market may change: then the rest of the step is lived from the state
in between (`_Pull`), so that steps of half an hour and more are precise enough. Costs are hours of on-demand.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from skylift.pricing.spot.market import BEFORE, BUCKETS, EDGES, HISTORIES, QUANTUM_H, Kind, phase

STEPS = 40
"""Of each axis at most: more changed the mean cost by less than 0.1 % and take longer."""
FINEST_H = 0.2
LEAST_STEPS = 8
"""Of work: a short job has finer ones."""
SWEEPS = 3
"""Within a node values hang together in a circle: up, down, up. What three rounds leave is below a thousandth."""

Row = list[float]
"""By phase of the market; those with spot come first."""
UPS = HISTORIES * BUCKETS
PHASES = 2 * UPS


class _Pull:
    """What a step pulls the value of a phase towards: `stay` on the value at its end in the same phase, and for the two
    things that may happen, a change of the market and an older age, `near` on the value of that phase at the node
    itself and `far` on the one at the step's end. `time` is the share of the step that passes before either."""

    __slots__ = ("far_older", "far_other", "near_older", "near_other", "older", "other", "stay", "time")

    def __init__(self, number: int, kind: Kind, step: float) -> None:
        available, at = number < UPS, number % BUCKETS
        hazards = (kind.up if available else kind.down)[number % UPS // BUCKETS]
        change = max(hazards[at], 1e-9)
        ages = 0.0 if at == BUCKETS - 1 else 1.0 / (EDGES[at + 1] - EDGES[at])
        rate = change + ages
        self.stay = math.exp(-rate * step)
        event = -math.expm1(-rate * step)
        when = 1.0 / (rate * step) - self.stay / event
        """The mean share of the step that has passed at the first event, given that there is one."""
        self.time = self.stay + event * when
        self.other, self.older = phase(not available, BEFORE[at], 0), number + 1 if ages else number
        share = change / rate
        self.near_other, self.far_other = event * share * (1 - when), event * share * when
        self.near_older, self.far_older = event * (1 - share) * (1 - when), event * (1 - share) * when

    def far(self, phase: int, same: Row, changed: Row) -> float:
        """What the step's end contributes: the values there if the market stays up or down, and if it changes."""
        return self.stay * same[phase] + self.far_older * same[self.older] + self.far_other * changed[self.other]


class Values:
    """Of one job in one kind of market. `idle`, `running` and `spot` by step of work, step of slack and phase: what
    remains to be paid by one who is (and for now stays) in that mode with its launch behind it."""

    def __init__(self, work: float, slack: float, changeover: float, ratio: float, kind: Kind) -> None:
        self.changeover, self.ratio = changeover, ratio
        self.step_w = min(max(FINEST_H, work / STEPS), work / LEAST_STEPS)
        self.least = 2 * changeover
        self.step_s = min(
            max(FINEST_H, (slack - self.least) / STEPS), max(QUANTUM_H, (slack - self.least) / LEAST_STEPS)
        )
        self.rows_w = math.ceil(work / self.step_w - 1e-9) + 1
        self.rows_s = max(1, math.ceil((slack - self.least) / self.step_s - 1e-9) + 1)
        self._last_s = max(0.0, self.rows_s - 1.000001)
        self.idle: list[list[Row]] = []
        self.running: list[list[Row]] = []
        self.spot: list[list[Row]] = []
        self._solve(kind)

    def _solve(self, kind: Kind) -> None:
        idle = [_Pull(number, kind, self.step_s) for number in range(PHASES)]
        runs = [_Pull(number, kind, self.step_w) for number in range(PHASES)]
        nothing = [[0.0] * PHASES for _ in range(self.rows_s)]
        best_idle, best_running = [nothing], [nothing]
        self.idle, self.running, self.spot = [nothing], [nothing], [nothing]
        for at in range(1, self.rows_w):
            rows = _Line(self, at * self.step_w, best_idle[-1], best_running[-1], self.spot[-1])
            for number in range(self.rows_s):
                rows.solve(number, idle, runs)
            self.idle.append(rows.idle)
            self.running.append(rows.running)
            self.spot.append(rows.spot)
            best_idle.append(rows.best_idle)
            best_running.append(rows.best_running)

    def at(self, table: list[list[Row]], work: float, slack: float, phase: int) -> float:
        """Between the nodes around it."""
        w = min(max(0.0, work / self.step_w), self.rows_w - 1.000001)
        s = min(max(0.0, (slack - self.least) / self.step_s), self._last_s)
        i, j = int(w), int(s)
        w -= i
        s -= j
        low, high = table[i], table[i + 1]
        if not s:
            return (1 - w) * low[j][phase] + w * high[j][phase]
        return (1 - s) * ((1 - w) * low[j][phase] + w * high[j][phase]) + s * (
            (1 - w) * low[j + 1][phase] + w * high[j + 1][phase]
        )

    def after_launch(self, work: float, slack: float, phase: int) -> float:
        """Of running on on-demand, launched. With less slack than the safety net asks for, it stays."""
        return work if slack < self.least - 1e-9 else self.at(self.running, work, slack, phase)


class _Line:
    """All nodes of one amount of work, from the least slack up."""

    def __init__(self, values: Values, work: float, idle: list[Row], running: list[Row], spot: list[Row]) -> None:
        self.values, self.work = values, work
        self.after_idle, self.after_running, self.after_spot = idle, running, spot
        """Of a step of work less: the best from idle and from on-demand, and staying on spot."""
        self.idle: list[Row] = []
        self.running: list[Row] = []
        self.spot: list[Row] = []
        self.best_idle: list[Row] = []
        self.best_running: list[Row] = []

    def solve(self, number: int, idle: list[_Pull], runs: list[_Pull]) -> None:
        """The node of so many steps of slack."""
        values = self.values
        eaten = self.best_idle[number - 1] if number else [self.work + values.changeover] * PHASES
        left = _Ends(
            idle=[pull.far(at, eaten, eaten) for at, pull in enumerate(idle)],
            running=self._ends_of_running(number, runs),
            spot=self._ends_of_spot(number, runs),
        )
        best_idle, best_running = list(eaten), [min(self.work, value) for value in eaten]
        at_idle, at_running, at_spot = list(eaten), list(best_running), eaten[:UPS]
        launch = self._launched(number)
        for _ in range(SWEEPS):
            for at in range(PHASES - 1, -1, -1):
                wait, run = idle[at], runs[at]
                other, older = wait.other, wait.older
                stay_idle = left.idle[at] + wait.near_other * best_idle[other] + wait.near_older * best_idle[older]
                stay = left.running[at] + run.near_other * best_running[other] + run.near_older * best_running[older]
                at_idle[at], at_running[at] = stay_idle, stay
                least = min(stay_idle, launch.running[at] + launch.near_running * stay)
                if at < UPS:
                    held = left.spot[at] + run.near_other * best_idle[other] + run.near_older * at_spot[older]
                    at_spot[at] = held
                    taken = launch.spot[at] + launch.near_spot * held
                    best_idle[at] = min(least, taken)
                    best_running[at] = min(stay, stay_idle, taken)
                else:
                    best_idle[at] = least
                    best_running[at] = min(stay, stay_idle)
        self.idle.append(at_idle)
        self.running.append(at_running)
        self.spot.append(at_spot)
        self.best_idle.append(best_idle)
        self.best_running.append(best_running)

    def _ends_of_running(self, number: int, runs: list[_Pull]) -> Row:
        done, step = self.after_running[number], self.values.step_w
        return [step * pull.time + pull.far(at, done, done) for at, pull in enumerate(runs)]

    def _ends_of_spot(self, number: int, runs: list[_Pull]) -> Row:
        """Spot that is lost leaves one idle."""
        done, lost = self.after_spot[number], self.after_idle[number]
        price = self.values.ratio * self.values.step_w
        return [price * pull.time + pull.far(at, done, lost) for at, pull in enumerate(runs[:UPS])]

    def _launched(self, number: int) -> _Launched:
        """Of a launch with so many steps of slack left before it."""
        d, ratio = self.values.changeover, self.values.ratio
        back = number - d / self.values.step_s
        if back < 0:  # on-demand stays until the end; spot is worth what it is at the first step
            spot = [ratio * d + value for value in self.spot[0]] if number else [ratio * d] * UPS
            return _Launched([d + self.work] * PHASES, spot, 0.0, 0.0 if number else 1.0)
        at = int(back)
        beyond = back - at
        running, spot = [d] * PHASES, [ratio * d] * UPS
        for row, weight in ((at, 1 - beyond), (at + 1, beyond)):
            if row < number and weight:
                running = [total + weight * value for total, value in zip(running, self.running[row], strict=True)]
                spot = [total + weight * value for total, value in zip(spot, self.spot[row], strict=False)]
        near = 1 - beyond if at == number else beyond if at + 1 == number else 0.0
        return _Launched(running, spot, near, near)


class _Ends(NamedTuple):
    """By mode and phase: the part of a value that does not change while a node is solved."""

    idle: Row
    running: Row
    spot: Row


class _Launched(NamedTuple):
    """By phase, what a launch costs and leads to, as far as that is known, and the share of it that is the node itself:
    the changeover may be shorter than a step."""

    running: Row
    spot: Row
    near_running: float
    near_spot: float
