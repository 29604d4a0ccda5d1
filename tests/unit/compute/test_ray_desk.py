"""The supervisor's decisions, without Ray: who runs what where, who is told, what is kept for later."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from skylift.asl.events import Usage
from skylift.compute.ray.crew import Attempt, Crew, PlaceState
from skylift.compute.ray.desk import GIVE_UP_AFTER, Desk
from skylift.compute.ray.wire import (
    HostConfig,
    Node,
    SupervisorConfig,
    Told,
    Wrote,
    decode_event,
    encode,
    outcome_of,
    pack_call,
    pack_outcome,
    unpack_call,
)
from skylift.ports.compute import Cancelled, Failed, Lost, Outcome, Requirements, Succeeded, TaskCall
from skylift.testing.backend_harness import call

HOST = HostConfig(backend="ray", blobs="/b", blobs_factory="", probe="", mark="", mark_text="", bundles="")
CONFIG = SupervisorConfig(name="s", lease_ms=1_000, host=HOST)


class FakeHands:
    """Remembers what it was asked to do."""

    def __init__(self) -> None:
        self.places: list[PlaceState] = []
        self.given: dict[str, list[str]] = {}
        self.recalled: list[str] = []
        self.cancelled: list[str] = []
        self.ended: list[str] = []
        self.told: list[tuple[str, Any]] = []
        self.clients = {"engine"}

    def start_place(self, crew: Crew) -> PlaceState:
        place = PlaceState(f"p{len(self.places)}", crew)
        self.places.append(place)
        return place

    def give(self, place: PlaceState, bodies: list[bytes]) -> None:
        self.given.setdefault(place.name, []).extend(unpack_call(body).token for body in bodies)

    def recall(self, place: PlaceState) -> None:
        self.recalled.append(place.name)

    def cancel_in(self, place: PlaceState, token: str) -> None:
        self.cancelled.append(token)

    def end_place(self, place: PlaceState) -> None:
        self.ended.append(place.name)

    def start_gang(self, attempt: Attempt) -> Any:
        raise AssertionError("no gangs here")

    def end_gang(self, gang: Any) -> None:
        raise AssertionError("no gangs here")

    def tell(self, client: str, event: bytes) -> bool:
        if client in self.clients:
            self.told.append((client, decode_event(event)))
        return client in self.clients

    def outcomes(self, client: str = "engine") -> dict[str, Outcome]:
        return {one.token: outcome_of(one) for who, one in self.told if who == client and isinstance(one, Told)}


@pytest.fixture
def hands() -> FakeHands:
    return FakeHands()


@pytest.fixture
def desk(hands: FakeHands) -> Desk:
    desk = Desk(CONFIG, hands)
    desk.nodes = [Node(id="n", address="", cpus=4, memory_mib=8_000)]
    return desk


def _submit(desk: Desk, *calls: TaskCall, client: str = "engine") -> None:
    desk.submit([pack_call(one) for one in calls], client)


def _done(desk: Desk, place: PlaceState, *calls: TaskCall, ms: float = 0.1) -> None:
    ended = Succeeded(output=1, usage=Usage(duration_ms=ms))
    desk.answered(place, [pack_outcome(one.token, ended) for one in calls])


def test_a_call_waits_for_a_place_runs_there_and_is_told(desk: Desk, hands: FakeHands) -> None:
    one = call("add", a=1, b=2)
    _submit(desk, one)
    assert desk.poll([one.token, "unknown"], "engine") == {one.token: "queued"}
    [place] = hands.places
    desk.up(place)
    assert hands.given == {place.name: [one.token]}
    assert desk.poll([one.token], "engine") == {one.token: "running"}
    _done(desk, place, one)
    assert isinstance(hands.outcomes()[one.token], Succeeded)
    assert desk.poll([one.token], "engine") == {}
    _submit(desk, one)
    assert hands.given == {place.name: [one.token]}  # the same attempt never runs twice


def test_short_calls_are_given_in_batches_and_slow_ones_one_by_one(desk: Desk, hands: FakeHands) -> None:
    calls = [call("add", a=n, b=0) for n in range(200)]
    _submit(desk, *calls)
    place = hands.places[0]
    desk.up(place)
    assert len(place.window) == 1
    _done(desk, place, calls[0])
    assert len(place.window) > 50
    naps = [call("nap", ms=n) for n in range(5)]
    _submit(desk, *naps)
    nap_place = hands.places[1]
    desk.up(nap_place)
    first = next(iter(nap_place.window))
    _done(desk, nap_place, *[one for one in [*calls, *naps] if one.token == first], ms=500)
    assert len(nap_place.window) >= 1


def test_wishes_without_work_are_taken_back(desk: Desk, hands: FakeHands) -> None:
    calls = [call("add", a=n, b=0) for n in range(3)]
    _submit(desk, *calls)
    assert len(hands.places) == 3
    place = hands.places[0]
    desk.up(place)
    for one in calls:
        _done(desk, place, one)
    assert sorted(hands.ended) == ["p1", "p2"]


def test_the_death_of_a_place_costs_the_call_that_ran_and_no_other(desk: Desk, hands: FakeHands) -> None:
    calls = [call("add", a=n, b=0) for n in range(6)]
    _submit(desk, *calls)
    place = hands.places[0]
    desk.up(place)
    _done(desk, place, calls[0])
    running, *behind = list(place.window)
    assert behind
    desk.died(place, Lost(reason="the node was lost"))
    assert hands.outcomes()[running] == Lost(reason="the node was lost")
    assert set(desk.poll(behind, "engine")) == set(behind)
    again = next(one for one in calls if one.token == running)
    _submit(desk, again)
    assert desk.poll([running], "engine") == {running: "queued"}


def test_places_that_do_not_come_up_again_and_again_are_given_up(desk: Desk, hands: FakeHands) -> None:
    one = call("add", a=1, b=1)
    _submit(desk, one)
    for number in range(GIVE_UP_AFTER):
        assert one.token not in hands.outcomes()
        desk.died(hands.places[number], Lost(reason="no python there"))
    assert hands.outcomes()[one.token] == Lost(reason="no python there")


def test_a_place_that_sees_no_artifacts_fails_what_waits(desk: Desk, hands: FakeHands) -> None:
    one = call("add", a=1, b=1)
    _submit(desk, one)
    desk.refused(hands.places[0], "n1 cannot read the artifacts at /b")
    outcome = hands.outcomes()[one.token]
    assert isinstance(outcome, Failed) and "/b" in outcome.cause


def test_cancel_of_what_waits_and_of_what_runs(desk: Desk, hands: FakeHands) -> None:
    calls = [call("nap", ms=n) for n in range(2)]
    _submit(desk, *calls)
    place = hands.places[0]
    desk.up(place)
    running, waiting = calls
    desk.cancel([running.token, waiting.token, "unknown"])
    assert hands.cancelled == [running.token]
    assert hands.outcomes() == {waiting.token: Cancelled()}
    desk.answered(place, [pack_outcome(running.token, Cancelled())])
    assert hands.outcomes()[running.token] == Cancelled()


def test_an_end_that_nobody_heard_is_told_to_the_next_engine_once(desk: Desk, hands: FakeHands) -> None:
    one = call("add", a=1, b=1)
    _submit(desk, one)
    place = hands.places[0]
    desk.up(place)
    hands.clients = set()
    desk.answered(place, [encode(Wrote(one.token, "/log", b"line"))])
    _done(desk, place, one)
    assert desk.unheard == 1 and not hands.told
    hands.clients = {"next"}
    assert desk.poll([one.token], "next") == {}
    _submit(desk, one, client="next")
    _submit(desk, one, client="next")
    assert isinstance(hands.outcomes("next")[one.token], Succeeded)
    assert desk.unheard == 0
    assert sum(isinstance(event, Told) for _, event in hands.told) == 1


def test_after_a_broken_connection_ends_are_told_once_more(desk: Desk, hands: FakeHands) -> None:
    one, other = call("add", a=1, b=1), call("nap", ms=1)
    _submit(desk, one, other)
    desk.up(hands.places[0])
    _done(desk, hands.places[0], one)
    hands.told.clear()
    assert desk.known([one.token, other.token, "unknown"], "engine") == [one.token, other.token]
    assert list(hands.outcomes()) == [one.token]


def test_what_an_engine_heard_is_told_again_to_one_that_comes_after_it(desk: Desk, hands: FakeHands) -> None:
    """It may have died before its journal had it."""
    one = call("add", a=1, b=1)
    _submit(desk, one)
    desk.up(hands.places[0])
    _done(desk, hands.places[0], one)
    hands.clients = {"next"}
    _submit(desk, one, client="next")
    assert isinstance(hands.outcomes("next")[one.token], Succeeded)
    assert len(hands.given[hands.places[0].name]) == 1


def test_concurrency_of_a_task_is_kept_over_all_places(desk: Desk, hands: FakeHands) -> None:
    needs = Requirements(concurrency=2)
    calls = [call("add", a=n, b=0, requirements=needs) for n in range(5)]
    _submit(desk, *calls)
    for place in list(hands.places):
        desk.up(place)
    assert sum(map(len, hands.given.values())) == 2
    busy = next(place for place in hands.places if place.window)
    token = next(iter(busy.window))
    _done(desk, busy, next(one for one in calls if one.token == token))
    assert sum(map(len, hands.given.values())) == 3
    assert "2 at once" in "".join(desk.explain([one.token for one in calls]).values())


def test_what_never_fits_is_refused_and_what_waits_is_explained(desk: Desk, hands: FakeHands) -> None:
    wide, narrow = call("add", a=1, b=1, requirements=Requirements(cpus=64)), call("add", a=1, b=1)
    _submit(desk, wide, narrow)
    refused = hands.outcomes()[wide.token]
    assert isinstance(refused, Failed) and "64 cpus" in refused.cause
    assert "1 cpus" in desk.explain([narrow.token])[narrow.token]


def test_numbers_beyond_64_bits_travel() -> None:
    one = call("add", a=2**70, b=1)
    assert unpack_call(pack_call(one)) == one
    told = decode_event(pack_outcome("t", Succeeded(output=2**70)))
    assert isinstance(told, Told) and outcome_of(told) == Succeeded(output=2**70)


def test_a_gang_that_wants_nodes_of_its_own_says_how_many_there_are(
    hands: FakeHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(msgspec.structs.replace(CONFIG, gangs="strict-spread"), hands)
    desk.nodes = [Node(id=f"n{cpus}", address="", cpus=cpus, memory_mib=8_000) for cpus in (8, 1)]
    monkeypatch.setattr(hands, "start_gang", lambda attempt: object())
    gang = call("add", a=1, b=2, requirements=Requirements(nodes=3, cpus=2))
    _submit(desk, gang)
    assert desk.explain([gang.token])[gang.token] == (
        "waits for room for 3 workers of 2 cpus at once, each on a node of its own; "
        "1 of the cluster's 2 nodes could have one"
    )
