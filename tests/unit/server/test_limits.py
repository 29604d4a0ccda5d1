"""What one client may ask for."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skylift.server import limits
from skylift.server.body import Gone, read_body
from skylift.server.errors import ApiError
from skylift.server.limits import DEPTH, Throttle, Throttled, check_depth


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def admit(throttle: Throttle, client: str) -> bool:
    try:
        with throttle.admitted(client):
            return True
    except Throttled:
        return False


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    throttle = Throttle(10, 0, clock=clock)
    assert [admit(throttle, "a") for _ in range(51)] == [True] * 50 + [False]
    assert admit(throttle, "b")
    clock.now += 0.11
    assert [admit(throttle, "a") for _ in range(2)] == [True, False]
    clock.now += 1000
    assert sum(admit(throttle, "a") for _ in range(100)) == 50


def test_the_wait_is_told() -> None:
    throttle = Throttle(0.1, 0, clock=Clock())
    assert admit(throttle, "a")
    with pytest.raises(Throttled) as told, throttle.admitted("a"):
        pass
    assert told.value.wait_s == pytest.approx(10)
    assert (told.value.code, told.value.message, told.value.status) == ("ThrottlingException", "Rate exceeded", 400)


def test_only_so_much_at_once() -> None:
    throttle = Throttle(0, 2)
    with throttle.admitted("a"), throttle.admitted("a"):
        assert not admit(throttle, "a")
        assert admit(throttle, "b")
    assert admit(throttle, "a")
    assert throttle._running == {}


def test_0_is_no_limit() -> None:
    throttle = Throttle(0, 0)
    assert all(admit(throttle, "a") for _ in range(10_000))


def test_clients_of_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_BUCKETS", 10)
    clock = Clock()
    throttle = Throttle(1, 0, clock=clock)
    for number in range(100):
        assert admit(throttle, str(number))
    assert len(throttle._buckets) <= 10
    clock.now += 100
    assert admit(throttle, "new")
    assert len(throttle._buckets) == 1


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_depth_is_bounded() -> None:
    check_depth(nested(DEPTH))
    with pytest.raises(ApiError, match="more than 64 levels"):
        check_depth(nested(DEPTH + 1))
    with pytest.raises(ApiError):
        check_depth(b"[" * 100_000)


@given(st.recursive(st.text('[]{}"\\ab', max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=20))
def test_brackets_in_texts_are_no_depth(value: Any) -> None:
    check_depth(msgspec.json.encode([value, "[" * 200, '\\"{' * 100]), most=30)


def body_of(*messages: tuple[bytes, bool] | None) -> Any:
    given = iter(messages)

    async def receive() -> dict[str, Any]:
        message = next(given, ())
        if message == ():
            await asyncio.sleep(60)
        if message is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": message[0], "more_body": message[1]}

    return receive


def test_a_body_is_read_whole() -> None:
    assert asyncio.run(read_body(body_of((b"ab", True), (b"", True), (b"c", False)), 3, 1)) == b"abc"
    assert asyncio.run(read_body(body_of((b"abc", False)), 3, 1)) == b"abc"


@pytest.mark.parametrize("pieces", [((b"abcd", False),), ((b"ab", True), (b"cd", False)), ((b"abcd", True),)])
def test_a_body_that_is_too_long_is_not_kept(pieces: tuple[tuple[bytes, bool], ...]) -> None:
    with pytest.raises(ApiError, match="RequestEntityTooLargeException") as told:
        asyncio.run(read_body(body_of(*pieces), 3, 1))
    assert told.value.status == 413


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with pytest.raises(ApiError, match="did not come in time") as told:
        asyncio.run(read_body(body_of((b"a", True)), 3, 0.01))
    assert told.value.status == 408


def test_nobody_answers_who_has_gone() -> None:
    with pytest.raises(Gone):
        asyncio.run(read_body(body_of((b"a", True), None), 3, 1))
