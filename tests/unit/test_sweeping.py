"""Sweeping: what is past its lease is ended, whoever made it; the rest stays."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from skylift.cli.main import cli
from skylift.compute.basics import Basics
from skylift.config import Config
from skylift.errors import SetupError
from skylift.ports.compute import Capabilities, Leased
from skylift.runtime import Runtime
from skylift.server.observability.logs import Log
from skylift.server.sweeper import Sweeper
from skylift.sweeping import Swept, Trouble, look, sweep


class Holder(Basics):
    """Things as an engine left them."""

    capabilities = Capabilities(leases=True)
    in_use = True

    def __init__(self, *things: Leased, stubborn: str = "", silent: bool = False) -> None:
        self.there = list(things)
        self.stubborn = stubborn
        self.silent = silent
        self.closed = 0

    def leased(self) -> Sequence[Leased]:
        if self.silent:
            raise SetupError("podman does not answer", hint="is it installed?")
        return tuple(self.there)

    def end(self, leased: Sequence[Leased]) -> None:
        for one in leased:
            if one.id == self.stubborn:
                raise OSError("it does not die")
            self.there.remove(one)

    def close(self) -> None:
        self.closed += 1


def thing(id: str, until_ms: int, **more: Any) -> Leased:
    return Leased(**{"backend": "container", "kind": "container", "id": id, "until_ms": until_ms, **more})


def test_what_is_past_its_lease_is_ended_and_the_rest_stays() -> None:
    held = Holder(thing("late", 1_001), thing("old", 999), thing("now", 1_000))
    found = sweep({"container": held}, 1_000)
    assert [one.id for one in found.over] == ["old", "now"]
    assert [one.id for one in found.left] == [one.id for one in held.there] == ["late"]
    assert sweep({"container": held}, 1_000).over == ()


def test_looking_touches_nothing() -> None:
    held = Holder(thing("old", 1))
    assert [one.id for one in look({"container": held}, 1_000).over] == ["old"]
    assert len(held.there) == 1


def test_what_is_renewed_while_another_is_ended_stays() -> None:
    """An engine on a laptop that was suspended lost what it had just renewed."""

    class Slow(Holder):
        def end(self, leased: Sequence[Leased]) -> None:
            super().end(leased)
            self.there = [msgspec.structs.replace(one, until_ms=9_000) for one in self.there]

    held = Slow(thing("first", 998), thing("second", 999))
    found = sweep({"container": held}, 1_000)
    assert ([one.id for one in found.over], [one.id for one in found.left]) == (["first"], ["second"])
    assert [one.id for one in held.there] == ["second"]


def test_a_server_that_slept_lets_engines_renew_first(monkeypatch: pytest.MonkeyPatch) -> None:
    apart = iter([0.0, 3_600.0, 3_600.0, 3_600.0])
    monkeypatch.setattr("skylift.server.sweeper._apart", lambda: next(apart))
    rounds: list[int] = []

    async def slept(seconds: float) -> None:
        rounds.append(len(rounds))

    class Enough(Exception):
        pass

    def swept() -> Swept:
        raise Enough

    async def blocking(work: Any) -> Any:
        return work()

    sweeper = Sweeper(SimpleNamespace(blocking=blocking), Log("json"), {"leases": swept}, 60.0)  # type: ignore[arg-type]
    told: list[str] = []
    monkeypatch.setattr("skylift.server.sweeper.asyncio.sleep", slept)
    monkeypatch.setattr(sweeper._log, "warning", lambda event, **facts: told.append(event))
    with pytest.raises(RuntimeError, match="StopIteration"):  # the clocks of the third round
        asyncio.run(sweeper.run())
    assert (len(rounds), told) == (2, ["sweep_failed"])


def test_trouble_with_one_does_not_keep_the_others_alive() -> None:
    stubborn = Holder(thing("a", 1), thing("b", 2), thing("c", 3), stubborn="b")
    found = sweep({"ray": Holder(silent=True), "container": stubborn}, 1_000)
    assert [one.id for one in stubborn.there] == ["b"]
    assert found.troubles == (
        Trouble(backend="ray", problem="cannot be asked: podman does not answer (is it installed?)"),
        Trouble(backend="container", problem="container b cannot be ended: OSError: it does not die"),
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKYLIFT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SKYLIFT_URL", raising=False)
    return tmp_path


def of(monkeypatch: pytest.MonkeyPatch, **holders: Any) -> None:
    monkeypatch.setattr(Runtime, "_all_backends", holders)


def test_the_command_ends_lists_and_tells(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = int(time.time() * 1000)
    held = Holder(thing("old", now - 60_000, token="r:1-1", run_id="r", note="train[3]"), thing("new", now + 600_000))
    of(monkeypatch, container=held)
    listed = CliRunner().invoke(cli, ["sweep", "--list"], standalone_mode=False)
    assert listed.return_value == 0
    rows = [line.split("\t") for line in listed.stdout.splitlines()]
    assert [row[:5] for row in rows] == [
        ["container", "container", "old", "r", "r:1-1"],
        ["container", "container", "new", "-", "-"],
    ]
    assert rows[0][5].startswith("over for 1 min") and rows[1][5].endswith(" left") and rows[0][6] == "train[3]"
    assert len(held.there) == 2
    swept = CliRunner().invoke(cli, ["sweep", "--json"], standalone_mode=False)
    said = msgspec.json.decode(swept.stdout)
    assert (said["swept"], [one["id"] for one in said["over"]], [one["id"] for one in said["left"]]) == (
        True,
        ["old"],
        ["new"],
    )
    assert [one.id for one in held.there] == ["new"]


def test_the_command_fails_when_something_could_not_be_asked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of(monkeypatch, container=Holder(silent=True))
    result = CliRunner().invoke(cli, ["sweep"], standalone_mode=False)
    assert result.return_value == 1
    assert "warning[SWEEP]: container: cannot be asked: podman does not answer" in result.stderr


def test_backends_that_never_made_anything_are_not_even_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unused, left = Holder(thing("x", 1)), Holder(thing("y", 1))
    unused.in_use = left.in_use = False
    of(monkeypatch, ray=unused, container=left, simulated=SimpleNamespace(capabilities=Capabilities()))
    (tmp_path / "home" / "attempts" / "container").mkdir(parents=True)
    with Runtime(Config(project=tmp_path, home=tmp_path / "home")) as runtime:
        assert [one.id for one in runtime.sweep().over] == ["y"]
    assert len(unused.there) == 1


def test_the_servers_sweeper_goes_on_after_trouble_and_tells_it_once() -> None:
    reading, writing = os.pipe()
    given = iter(
        [
            RuntimeError("the store is away"),
            Swept(troubles=(Trouble(backend="ray", problem="away"),)),
            Swept(troubles=(Trouble(backend="ray", problem="away"),), over=(thing("old", 1),)),
        ]
    )

    def swept() -> Swept:
        found = next(given, None)
        if found is None:
            done.set()
            return Swept()
        if isinstance(found, Exception):
            raise found
        return found

    async def blocking(function: Any) -> Any:
        return function()

    async def play() -> None:
        context: Any = SimpleNamespace(blocking=blocking)
        sweeper = asyncio.create_task(Sweeper(context, Log(descriptor=writing), {"leases": swept}, 0.001).run())
        await asyncio.wait_for(done.wait(), 60)
        sweeper.cancel()

    done = asyncio.Event()
    asyncio.run(play())
    os.close(writing)
    with os.fdopen(reading) as said:
        lines = [line.split(" ", 2)[2].strip() for line in said]
    assert lines == [
        'sweep_failed what=leases message="the store is away"',
        'sweep_trouble what=leases message="ray: away"',
        'lease_over backend=container kind=container id=old note=""',
    ]


def test_a_server_told_never_to_sweep_does_not() -> None:
    async def play() -> None:
        context: Any = SimpleNamespace()
        await Sweeper(context, Log(), {"leases": lambda: pytest.fail("swept")}, 0).run()

    asyncio.run(play())
