"""The simulated cloud by itself: the same seed, the same history; what it takes away, and when; what has no room."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skylift.asl.events import Usage
from skylift.compute.simulated.traces import TraceMarket, choose_trace
from skylift.config.backends import SimulatedSettings
from skylift.ports.compute import Failed, Lost, Outcome, OutOfMemory, Requirements, Succeeded, TaskCall, TimedOut
from skylift.pricing.spot.traces import read_traces
from skylift.testing.backend_harness import until
from skylift.testing.backends import Outcomes, call
from skylift.testing.clock import START_MS
from skylift.testing.cloud import SimulatedCloud

HOUR_MS = 3_600_000
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "spot_traces.json"
DONE = {"add": 5}
"""What `add` gave before: with declared work it need not run."""


class Story(Outcomes):
    """Everything that was reported, with the cloud's time; gives lost calls out again, as an engine does."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, str, Outcome]] = []
        self.calls: dict[str, TaskCall] = {}
        self.cloud: SimulatedCloud | None = None

    def __call__(self, token: str, outcome: Any) -> None:
        assert self.cloud is not None
        self.told.append((self.cloud.pace.clock.now_ms() - START_MS, token, outcome))
        if isinstance(outcome, Lost):
            again = self.calls[token] = msgspec.structs.replace(
                self.calls[token], delivery=self.calls[token].delivery + 1
            )
            self.cloud.backend.submit([again])
        else:
            super().__call__(token, outcome)

    def give(self, *calls: TaskCall) -> list[Outcome]:
        assert self.cloud is not None
        self.calls.update((one.token, one) for one in calls)
        self.cloud.backend.submit(calls)
        return self.wait(*(one.token for one in calls))


@contextmanager
def cloud(
    tmp_path: Path, results: dict[str, Any] | None = None, speed: str | float = "max", **settings: Any
) -> Iterator[Story]:
    story = Story()
    hands = {"folder": tmp_path, "cache_dir": str(tmp_path / "bundles")}
    made = SimulatedCloud(story, settings=SimulatedSettings(**settings), speed=speed, results=results, **hands)  # type: ignore[arg-type]
    story.cloud = made
    with made:
        yield story


def job(name: str, *, hours: float = 1.0, spot: bool = False, run: str = "run", **needs: Any) -> TaskCall:
    wants = Requirements(work_ms=round(hours * HOUR_MS), spot=spot, **needs)
    one = call("add", requirements=wants, run=run, a=2, b=3)
    return msgspec.structs.replace(one, token=name, label=name, market="spot" if spot else "on-demand")


def usage(outcome: Outcome) -> Usage:
    found = getattr(outcome, "usage", None)
    assert isinstance(found, Usage)
    return found


def trace_file(folder: Path, *, first: int, runs: Sequence[int], gap_seconds: int = 600) -> dict[str, str]:
    path = folder / "traces.json"
    path.write_text(json.dumps({"traces": {"t": {"first": first, "runs": runs, "gap_seconds": gap_seconds}}}))
    return {"traces": str(path)}


# Time ---------------------------------------------------------------------------------------------------------------


def test_declared_work_takes_as_long_as_it_says_and_no_time_of_ours(tmp_path: Path) -> None:
    with cloud(tmp_path, DONE) as story:
        [outcome] = story.give(job("year", hours=365 * 24))
    used = usage(outcome)
    assert isinstance(outcome, Succeeded) and outcome.output == 5
    assert used.duration_ms == 365 * 24 * HOUR_MS and used.service == "container"
    assert used.startup_ms is not None and 10_000 <= used.startup_ms <= 20_000
    assert story.told[0][0] == used.startup_ms + used.duration_ms


@pytest.mark.parametrize(
    ("needs", "service", "least_ms", "most_ms"),
    [
        ({"hours": 0.1}, "function", 80, 150),
        ({"hours": 1}, "container", 10_000, 20_000),
        ({"gpu": "V100"}, "batch", 60_000, 240_000),
    ],
)
def test_places_come_as_quickly_as_their_class(
    tmp_path: Path, needs: dict[str, Any], service: str, least_ms: int, most_ms: int
) -> None:
    with cloud(tmp_path, DONE) as story:
        found = [usage(one) for one in story.give(*(job(f"j{number}", **needs) for number in range(20)))]
    times = [one.startup_ms for one in found if one.startup_ms is not None]
    assert {one.service for one in found} == {service} and len(set(times)) > 5
    assert least_ms <= min(times) and max(times) <= most_ms


def test_managed_training_where_it_is_asked_for(tmp_path: Path) -> None:
    with cloud(tmp_path, DONE, services=("managed-training",)) as story:
        used = usage(story.give(job("train", gpu="V100"))[0])
    assert (used.instance_type, used.service) == ("ml.p3.2xlarge", "managed-training")
    assert used.cost_usd_micro == 3_825_000 and 30_000 <= (used.startup_ms or 0) <= 60_000


def test_a_function_that_really_runs_takes_what_it_took(tmp_path: Path) -> None:
    with cloud(tmp_path) as story:
        [outcome] = story.give(call("spin", ms=30))
    used = usage(outcome)
    assert isinstance(outcome, Succeeded) and used.service == "function"
    assert used.duration_ms is not None and 25 < used.duration_ms < 5_000
    assert used.peak_memory_mib is not None and used.cpu_ms is not None
    assert used.worker == "lambda-1" and used.backend == "simulated"


# The same seed ------------------------------------------------------------------------------------------------------


def history(tmp_path: Path, seed: int) -> list[tuple[int, str, str, Usage]]:
    calls = [
        job(f"j{n}", hours=1 + n % 7, spot=n % 2 == 0, run=f"run{n % 3}", gpu="V100" if n % 4 == 0 else None)
        for n in range(40)
    ]
    with cloud(tmp_path, DONE, seed=seed, up="3h", down="1h", gpus=4) as story:
        story.give(*calls)
    return [(at_ms, token, type(outcome).__name__, usage(outcome)) for at_ms, token, outcome in story.told]


def test_the_same_seed_is_the_same_history(tmp_path: Path) -> None:
    first = history(tmp_path, 7)
    assert first == history(tmp_path, 7)
    assert first != history(tmp_path, 8)
    kinds = [kind for _, _, kind, _ in first]
    assert kinds.count("Succeeded") == 40 and kinds.count("Lost") > 5


# Spot ---------------------------------------------------------------------------------------------------------------


def test_a_machine_is_lost_exactly_where_the_trace_says(tmp_path: Path) -> None:
    """Up from 30 min to 70 min, from 80 to 100, and from 110 on: an hour fits the third time."""
    settings = trace_file(tmp_path, first=0, runs=[3, 4, 1, 2, 1, 90])
    with cloud(tmp_path, DONE, **settings) as story:
        story.give(job("train", spot=True, gpu="V100"))
    minutes = [at_ms / 60_000 for at_ms, _, _ in story.told]
    assert minutes[:2] == [70, 100]
    assert [type(outcome) for _, _, outcome in story.told] == [Lost, Lost, Succeeded]
    for (at_ms, _, outcome), came in zip(story.told, (30, 80, 110), strict=True):
        used = usage(outcome)
        assert used.startup_ms is not None and used.duration_ms is not None
        assert used.started_ms == START_MS + came * 60_000 + used.startup_ms
        assert at_ms == came * 60_000 + used.startup_ms + used.duration_ms
        assert isinstance(outcome, Succeeded) or (isinstance(outcome, Lost) and outcome.preempted)


def test_a_machine_may_be_lost_before_it_has_come(tmp_path: Path) -> None:
    with cloud(tmp_path, DONE, **trace_file(tmp_path, first=1, runs=[1, 1, 900], gap_seconds=20)) as story:
        story.give(job("train", spot=True, gpu="V100"))
    lost = usage(story.told[0][2])
    assert (lost.startup_ms, lost.duration_ms) == (20_000.0, 0.0)
    assert lost.cost_usd_micro == 918_000 // 60, "a minute is the least"


def test_checkpoints_keep_declared_work(tmp_path: Path) -> None:
    """Two hours of work in windows of 40 minutes, kept each 10 minutes: only the last piece is done twice."""
    settings = trace_file(tmp_path, first=1, runs=[4, 1] * 20)
    with cloud(tmp_path, DONE, checkpoint="10m", **settings) as story:
        story.give(job("train", hours=2, spot=True, gpu="V100"))
    kept = [usage(outcome).saved_ms for _, _, outcome in story.told[:-1]]
    assert len(kept) >= 3 and kept == sorted(kept)  # type: ignore[type-var]
    assert all(saved is not None and saved % 600_000 == 0 for saved in kept)
    assert usage(story.told[-1][2]).duration_ms == 2 * HOUR_MS - (kept[-1] or 0)


def test_a_warning_lets_work_be_kept_up_to_it(tmp_path: Path) -> None:
    settings = trace_file(tmp_path, first=1, runs=[4, 1, 90])
    with cloud(tmp_path, DONE, checkpoint="1h", warning="2m", **settings) as story:
        story.give(job("train", spot=True, gpu="V100"))
    lost = usage(story.told[0][2])
    assert lost.saved_ms == (lost.duration_ms or 0) - 120_000


def test_a_step_that_no_window_of_its_market_holds_is_told_at_once(tmp_path: Path) -> None:
    """It was launched, and lost, for ever, however much time that took."""
    settings = trace_file(tmp_path, first=1, runs=[3, 1, 2])  # up for 50 minutes, over its end into its beginning
    with cloud(tmp_path, DONE, **settings) as story:
        [outcome] = story.give(job("train", spot=True, gpu="V100"))
    assert isinstance(outcome, Failed) and "none stays for longer than 50 min" in outcome.cause, outcome
    assert len(story.told) == 1
    assert outcome.usage is not None and outcome.usage.duration_ms == 0


def test_work_that_is_kept_or_has_a_deadline_need_not_fit_a_window(tmp_path: Path) -> None:
    settings = trace_file(tmp_path, first=1, runs=[3, 1, 2])
    with cloud(tmp_path, DONE, checkpoint="10m", **settings) as story:
        [outcome] = story.give(job("train", spot=True, gpu="V100"))
    assert isinstance(outcome, Succeeded) and len(story.told) > 1
    bound = job("later", spot=True, gpu="V100")
    bound = msgspec.structs.replace(
        bound, requirements=msgspec.structs.replace(bound.requirements, deadline_ms=9 * HOUR_MS)
    )
    with cloud(tmp_path, DONE, **settings) as story:
        story.calls[bound.token] = bound
        assert story.cloud is not None
        story.cloud.backend.submit([bound])
        until(lambda: len(story.told) > 2)  # whoever asks its policy moves it to on-demand
    assert all(isinstance(outcome, Lost) for _, _, outcome in story.told)


@pytest.mark.parametrize("speed", ["max", 600.0])
def test_a_market_that_never_has_a_machine_is_no_place_to_wait(tmp_path: Path, speed: str | float) -> None:
    with cloud(tmp_path, DONE, speed=speed, **trace_file(tmp_path, first=0, runs=[5])) as story:
        [outcome] = story.give(job("train", spot=True, gpu="V100"))
    assert isinstance(outcome, Failed) and "there never is one" in outcome.cause


def test_a_market_that_is_always_up_has_no_longest_time(tmp_path: Path) -> None:
    with cloud(tmp_path, DONE, **trace_file(tmp_path, first=1, runs=[1])) as story:
        [outcome] = story.give(job("train", spot=True, gpu="V100"))
    assert isinstance(outcome, Succeeded)


@pytest.mark.parametrize("name", ["us-west-2b_v100_1", "us-west-2a_k80_1"])
def test_the_published_traces_are_replayed_exactly(tmp_path: Path, name: str) -> None:
    if not SHARED.exists():
        pytest.skip(f"no spot traces at {SHARED}")
    trace = f"aws-10-26-2022/{name}"
    market = TraceMarket(choose_trace(read_traces(SHARED), trace), START_MS)
    with cloud(tmp_path, DONE, traces=str(SHARED), trace=trace, checkpoint="10m") as story:
        story.give(job("train", hours=100, spot=True, gpu="V100"))
    losses = [START_MS + at_ms for at_ms, _, outcome in story.told if isinstance(outcome, Lost)]
    ended = START_MS + story.told[-1][0]
    turns, at_ms = [], START_MS
    while (turn := market.next_change(at_ms)) is not None and turn < ended:
        turns += [] if market.up(turn) else [turn]
        at_ms = turn
    assert losses == turns and len(losses) > 5


def test_a_function_runs_once_however_often_its_machine_goes(tmp_path: Path) -> None:
    settings = trace_file(tmp_path, first=1, runs=[1, 1, 1, 1, 90])
    wants = Requirements(work_ms=HOUR_MS, spot=True, gpu="V100")
    one = call("append", requirements=wants, path=str(tmp_path / "mark"), text="x")
    with cloud(tmp_path, **settings) as story:
        story.give(msgspec.structs.replace(one, market="spot"))
    assert len(story.told) == 3 and (tmp_path / "mark").read_text() == "x"


def test_without_a_price_on_spot_it_is_bought_on_demand(tmp_path: Path) -> None:
    with cloud(tmp_path, DONE, region="us-west-2") as story:
        used = usage(story.give(job("train", spot=True, gpu="V100"))[0])
    assert (used.market, used.region) == ("on-demand", "us-west-2")


# Limits -------------------------------------------------------------------------------------------------------------


def test_quotas_keep_waiting_and_say_so(tmp_path: Path) -> None:
    with cloud(tmp_path, DONE, gpus=2) as story:
        found = [usage(one) for one in story.give(*(job(f"j{n}", gpu="V100") for n in range(6)))]
    spans = sorted((one.started_ms or 0, (one.started_ms or 0) + (one.duration_ms or 0)) for one in found)
    for begin, _ in spans:
        assert sum(start <= begin < end for start, end in spans) <= 2
    assert max(end for _, end in spans) - START_MS >= 3 * HOUR_MS
    assert (story.told[0][0], story.told[-1][0]) == pytest.approx((HOUR_MS, 3 * HOUR_MS), rel=0.3)


def test_what_waits_is_explained(tmp_path: Path) -> None:
    with cloud(tmp_path, **trace_file(tmp_path, first=0, runs=[10**6, 1])) as story:
        backend = story.cloud.backend  # type: ignore[union-attr]
        naps = [call("nap", ms=20_000, requirements=Requirements(memory_mib=256)) for _ in range(2)]
        spot = job("train", spot=True, gpu="V100")
        backend.submit([*naps, spot])
        assert backend.explain([spot.token]) == {spot.token: "no spot p3.2xlarge can be had in us-east-1 now"}
        said = backend.explain([one.token for one in naps])
        assert all("lambda (on-demand)" in text for text in said.values())
        assert backend.poll([naps[0].token]) == {naps[0].token: "running"}
        backend.cancel([one.token for one in (*naps, spot)])


def test_runs_take_turns_where_room_is_short(tmp_path: Path) -> None:
    wide = [job(f"wide{n}", gpu="V100", run="wide") for n in range(20)]
    narrow = job("narrow", gpu="V100", run="narrow")
    with cloud(tmp_path, DONE, gpus=1) as story:
        story.give(*wide, narrow)
    order = [token for _, token, _ in story.told]
    assert order.index("narrow") <= 2


def test_what_took_more_memory_than_its_place_has_is_out_of_memory(tmp_path: Path) -> None:
    with cloud(tmp_path) as story:
        [outcome] = story.give(call("allocate", mib=200, requirements=Requirements(memory_mib=128)))
    assert isinstance(outcome, OutOfMemory) and outcome.limit_mib == 128
    assert usage(outcome).memory_mib == 128 and usage(outcome).cost_usd_micro is not None


def test_classes_follow_each_other_as_memory_grows(tmp_path: Path) -> None:
    with cloud(tmp_path, DONE) as story:
        calls = [job(f"m{mib}", hours=0.1, memory_mib=mib) for mib in (4_096, 10_240, 16_384, 98_304, 200_000)]
        found = [usage(one) for one in story.give(*calls)]
    assert [one.service for one in found] == ["function", "function", "container", "container", "batch"]
    assert all((one.memory_mib or 0) >= int(one_call.token[1:]) for one, one_call in zip(found, calls, strict=True))


def test_timeouts_count_in_the_clouds_time(tmp_path: Path) -> None:
    with cloud(tmp_path, DONE) as story:
        [outcome] = story.give(job("slow", hours=2, timeout_ms=HOUR_MS))
    assert isinstance(outcome, TimedOut) and usage(outcome).duration_ms == HOUR_MS


def test_time_stands_still_while_a_function_runs(tmp_path: Path) -> None:
    """A nap of 0.3 s here is 0.3 s there, although an event is due in between."""
    with cloud(tmp_path, DONE) as story:
        outcomes = story.give(job("other", hours=0.00001), call("nap", ms=300))
    assert [type(one) for one in outcomes] == [Succeeded, Succeeded]
    assert story.told[-1][0] < 5_000
