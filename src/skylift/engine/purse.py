"""A budget, what is spent of it, and what is out: attempts that cost something and have not ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Literal

import msgspec

from skylift.engine.run import Attempt
from skylift.engine.spending import Account
from skylift.engine.tariff import HOUR_MS, Tariff

Scope = Literal["run", "month", "rehearsal"]
Poll = Callable[[Mapping[str, list[str]]], list[str]]
"""Asks backends, by name, after tokens: those that are still queued."""


class Out(msgspec.Struct):
    """An attempt that costs something."""

    attempt: Attempt
    tariff: Tariff
    since_ms: int | None
    """When its backend got it, or when that still had it queued; None while it is on its way there."""
    expected: Fraction
    """What it will cost at least; with declared work what that costs."""

    def cost(self, now_ms: int) -> Fraction:
        """If it ended now."""
        elapsed_ms = 0 if self.since_ms is None else max(0, now_ms - self.since_ms)
        return Fraction(self.tariff.hour * self.tariff.billed_ms(elapsed_ms), HOUR_MS) + self.tariff.request


class Purse:
    """Not thread-safe. `most` is told at no cost; what is out is looked at one by one only where that decides."""

    def __init__(self, scope: Scope, account: Account) -> None:
        self.scope: Scope = scope
        self.account = account
        self.out: dict[str, Out] = {}
        """By token."""
        self._queued: set[str] = set()
        self._asked_ms: int | None = None
        self._expected = Fraction(0)
        """Of everything that is out."""
        self._full: tuple[Any, ...] | None = None
        """When, and with what, everything was found to be committed."""
        self._slope = 0
        self._base = 0
        self._requests = Fraction(0)

    # -- what is out ---------------------------------------------------------------------------------------------------

    def promised(self, attempt: Attempt, tariff: Tariff, work_ms: float = 0.0) -> None:
        """It will be given to its backend; so much declared work is left of it."""
        self._put(Out(attempt, tariff, None, tariff.expected(work_ms)))

    def given(self, attempt: Attempt, tariff: Tariff, since_ms: int, work_ms: float = 0.0) -> None:
        self._put(Out(attempt, tariff, since_ms, tariff.expected(work_ms)))

    def ended(self, attempt: Attempt) -> None:
        known = self.out.pop(attempt.token, None)
        self._queued.discard(attempt.token)
        if known is not None:
            self._add(known, -1)

    def take_over(self, before: Purse) -> None:
        """What was out of the one that this one replaces."""
        for one in before.out.values():
            self._put(one)

    def _put(self, one: Out) -> None:
        self.ended(one.attempt)
        self.out[one.attempt.token] = one
        self._add(one, 1)

    def _add(self, one: Out, sign: int) -> None:
        self._expected += sign * one.expected
        if one.since_ms is None:
            return
        hour = sign * one.tariff.hour
        self._slope += hour
        self._base += hour * (one.since_ms - one.tariff.least_ms)
        self._requests += sign * one.tariff.request

    # -- what that costs -----------------------------------------------------------------------------------------------

    def most(self, now_ms: int) -> Fraction:
        """No less than what backends have would cost if it ended now, as if none of it were queued."""
        return max(Fraction(0), Fraction(self._slope * now_ms - self._base, HOUR_MS)) + self._requests

    def running(self, now_ms: int, poll: Poll) -> Fraction:
        """What backends have, if it ended now. What is queued there has cost nothing."""
        self._ask(now_ms, poll)
        return self._sum(now_ms, (one for token, one in self.out.items() if token not in self._queued))

    def committed(self, now_ms: int, poll: Poll) -> Fraction:
        """What everything that is out will have cost: what is expected of it, or what it has cost by now if that is
        more. What is queued, or on its way, is in it."""
        self._drop_closed()
        self._ask(now_ms, poll)
        return sum((max(one.expected, one.cost(now_ms)) for one in self.out.values()), Fraction(0))

    def reached(self, mark: Fraction, now_ms: int, poll: Poll) -> bool:
        """Whether so much is spent."""
        spent = self.account.spent
        if spent >= mark:
            return True
        return spent + self.most(now_ms) >= mark and spent + self.running(now_ms, poll) >= mark

    def is_committed(self, now_ms: int, poll: Poll) -> bool:
        """Whether what is spent and what is out will have cost reach the limit."""
        limit, spent = self.account.limit, self.account.spent
        if limit is None or spent + self.most(now_ms) + self._expected < limit:
            return False
        mark = (now_ms, limit, spent, len(self.out))
        if self._full != mark:  # of a wide map each attempt asks
            self._full = mark if spent + self.committed(now_ms, poll) >= limit else None
        return self._full is not None

    def _sum(self, now_ms: int, found: Iterable[Out]) -> Fraction:
        micro_ms, requests = 0, Fraction(0)
        for since_ms, tariff in _begun(found):
            micro_ms += tariff.hour * tariff.billed_ms(max(0, now_ms - since_ms))
            requests += tariff.request
        return Fraction(micro_ms, HOUR_MS) + requests

    def _ask(self, now_ms: int, poll: Poll) -> None:
        """Once at each moment: near a limit every event comes here, and a wide map is out."""
        if self._asked_ms == now_ms:
            return
        self._asked_ms = now_ms
        held: dict[str, list[str]] = {}
        for token, one in self.out.items():
            if one.since_ms is not None:
                held.setdefault(one.attempt.backend or "", []).append(token)
        self._queued.clear()
        for token in poll(held):
            one = self.out[token]
            self._put(msgspec.structs.replace(one, since_ms=now_ms))
            self._queued.add(token)

    def _drop_closed(self) -> None:
        """What was cancelled before its backend got it: nobody tells of that."""
        for one in [one for one in self.out.values() if one.since_ms is None and not one.attempt.open]:
            self.ended(one.attempt)


def _begun(found: Iterable[Out]) -> Iterator[tuple[int, Tariff]]:
    for one in found:
        if one.since_ms is not None:
            yield one.since_ms, one.tariff
