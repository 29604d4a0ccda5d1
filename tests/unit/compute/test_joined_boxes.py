"""Boxes that join a pool: what they are told, when they are gone, whose attempts they get."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.compute.batch.joined import LEASE_MS, BoxOrders, BoxSays, Ended, JoinedBoxes
from skylift.compute.batch.packing import Room
from skylift.compute.batch.provider import Held, NoCapacity
from skylift.compute.batch.work import Needs
from skylift.compute.batch.workers import WorkersProvider
from skylift.ports.compute import Cancelled, CodeRef, Lost, Succeeded, TaskCall
from skylift.stores.memory_resources import MemoryResources

ACCOUNT = "123456789012"


class Pool:
    """A store, a provider over it, and what a box says."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.boxes = JoinedBoxes(MemoryResources())
        self.provider = WorkersProvider(self.boxes, lambda: self.now)

    def says(self, name: str = "one", account: str = ACCOUNT, **fields: Any) -> BoxOrders:
        given = BoxSays(**{"vcpus": 4.0, "memory_mib": 8192, **fields})
        return self.boxes.said(account, name, given, self.now)

    def run(self, machine: str, *tokens: str) -> None:
        self.provider.run(machine, [(call_of(token), Held(token=token)) for token in tokens])

    def machine(self) -> Any:
        (found,) = self.provider.look()
        return found


def call_of(token: str) -> TaskCall:
    code = CodeRef(bundle="b", target="m:f")
    return TaskCall(
        token=token, run_id="run", task="t", label="t", attempt=1, code=code, arguments={"x": 1}, account=ACCOUNT
    )


def test_a_box_joins_is_given_work_and_tells_how_it_ended() -> None:
    pool = Pool()
    assert pool.provider.kinds() == () and pool.provider.open
    box = pool.says(gpu="V100", gpus=2).id
    (kind,) = pool.provider.kinds()
    assert (kind.vcpus, kind.memory_mib, kind.gpu, kind.gpus, kind.fixed, kind.account) == (
        4.0,
        8192,
        "V100",
        2,
        True,
        ACCOUNT,
    )
    assert (pool.machine().phase, pool.machine().standing) == ("ready", True)
    pool.run(box, "a", "b")
    pool.run(box, "a")
    assert pool.boxes.has_news(ACCOUNT, "one")
    assert [call.token for call in pool.says(id=box).run] == ["a", "b"]
    assert [call.token for call in pool.says(id=box).run] == ["a", "b"], "the answer may have been lost"
    assert pool.says(id=box, holds=["a", "b"]).run == []
    assert not pool.boxes.has_news(ACCOUNT, "one")
    assert [held.token for held in pool.machine().holds] == ["a", "b"]
    pool.says(id=box, holds=["b"], ended=[Ended(token="a", outcome=Succeeded(output=1))])
    assert pool.provider.outcomes(["a", "b"]) == {"a": Succeeded(output=1)}
    assert [held.token for held in pool.machine().holds] == ["b"]
    assert pool.provider.call("a") == call_of("a")


def test_a_box_that_is_silent_is_gone_and_another_one_when_it_comes_back() -> None:
    pool = Pool()
    box = pool.says().id
    pool.run(box, "a")
    pool.says(id=box, holds=["a"])
    pool.now += LEASE_MS
    assert (pool.machine().phase, pool.machine().reason) == ("gone", "box one has given no sign of life")
    assert pool.provider.kinds() == ()
    back = pool.says(id=box, holds=["a"])
    assert back.id != box
    assert back.stop == ["a"]
    pool.says(id=back.id, ended=[Ended(token="a", outcome=Succeeded(output="late"))])
    assert pool.provider.outcomes(["a"]) == {}, "another may have it by now"
    pool.now += 3_600_000
    assert pool.provider.look() == []


def test_a_box_that_was_started_anew_has_lost_what_it_had() -> None:
    pool = Pool()
    box = pool.says().id
    pool.run(box, "a")
    pool.says(id=box, holds=["a"])
    pool.says(id=box, holds=[])
    assert pool.provider.outcomes(["a"]) == {"a": Lost(reason="box one was started anew")}


def test_cancelling_before_and_after_the_box_has_it() -> None:
    pool = Pool()
    box = pool.says().id
    pool.run(box, "a", "b")
    pool.provider.cancel(box, ["a"])
    assert [call.token for call in pool.says(id=box).run] == ["b"]
    assert pool.provider.outcomes(["a"]) == {"a": Cancelled()}
    pool.says(id=box, holds=["b"])
    pool.provider.stop([box])
    assert pool.says(id=box, holds=["b"]).stop == ["b"]
    pool.says(id=box, ended=[Ended(token="b", outcome=Cancelled())])
    assert pool.provider.outcomes(["b"]) == {"b": Cancelled()}
    pool.says(id=box)
    assert pool.machine().holds == ()


def test_what_was_dropped_runs_anew_and_what_was_told_is_forgotten_later() -> None:
    pool = Pool()
    box = pool.says().id
    pool.run(box, "a", "b")
    ended = [Ended(token="a", outcome=Lost(reason="x")), Ended(token="b", outcome=Succeeded(output=2))]
    pool.says(id=box, ended=ended)
    pool.provider.drop(["a"])
    assert pool.provider.outcomes(["a"]) == {}
    pool.run(box, "a")
    assert [call.token for call in pool.says(id=box).run] == ["a"]
    pool.provider.forget(["b"])
    assert pool.provider.outcomes(["b"]) != {}
    pool.now += 700_000
    pool.provider.forget([])
    assert pool.provider.outcomes(["b"]) == {}


def test_a_box_that_leaves_gets_nothing_more() -> None:
    pool = Pool()
    box = pool.says().id
    pool.says(id=box, leaving=True)
    assert pool.machine().phase == "warned"


def test_boxes_run_their_accounts_attempts_only_and_no_gangs() -> None:
    pool = Pool()
    pool.says()
    room = Room("m", pool.machine().kind)
    assert room.admits(Needs(account=ACCOUNT))
    assert not room.admits(Needs(account="999999999999"))
    assert not room.admits(Needs(account=ACCOUNT, nodes=2))
    other = pool.says(account="999999999999")
    assert {machine.kind.account for machine in pool.provider.look()} == {ACCOUNT, "999999999999"}
    pool.run(other.id, "theirs")
    assert pool.says(id=other.id).run == [], "knowing the id of another account's box gives nothing"
    assert [call.token for call in pool.says(account="999999999999", id=other.id).run] == ["theirs"]
    assert other.id not in {pool.says(id=other.id).id}, "the id of another account's box joins as a new one"


def test_boxes_are_not_started() -> None:
    pool = Pool()
    pool.says()
    with pytest.raises(NoCapacity):
        pool.provider.start(pool.machine().kind, "me", 1)
