"""What has ended is not run again: for as many attempts as are remembered, each up to the delivery that ended."""

from __future__ import annotations

from skylift.compute.ended import EndedCalls


def test_a_later_delivery_is_new_and_an_earlier_one_is_not() -> None:
    ended = EndedCalls()
    assert not ended.has("a", 1)
    ended.add("a", 2)
    assert ended.has("a", 1) and ended.has("a", 2)
    assert not ended.has("a", 3) and not ended.has("b", 1)


def test_what_is_forgotten_is_new() -> None:
    ended = EndedCalls()
    ended.add("a", 1)
    ended.forget("a")
    ended.forget("never there")
    assert not ended.has("a", 1)


def test_the_oldest_make_room() -> None:
    ended = EndedCalls(most=2)
    for token in "abc":
        ended.add(token, 1)
    assert [ended.has(token, 1) for token in "abc"] == [False, True, True]
