"""How long something is used, and what is billed of it: increments, minimums, and limits that are said."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from skylift.pricing.catalogue import Catalogue
from skylift.pricing.estimate.amounts import HOUR_MS, EstimateInvalid, time_words, written
from skylift.pricing.estimate.rules import Billing, billed_ms, billing_of, longest_ms_of
from skylift.pricing.estimate.uses import Use

_UNIT_MS = {"s": 1000, "h": HOUR_MS}


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """So long, so many times."""

    billed_ms: Fraction
    times: Fraction
    notes: list[str] = []

    def each(self, unit: str) -> Fraction:
        return self.billed_ms / _UNIT_MS[unit]

    def words(self, unit: str) -> str:
        """Seconds where hours would not be exact."""
        exact = f"{written(self.each(unit))} {unit}"
        return exact if "…" not in exact else f"{written(self.each('s'))} s / {written(Fraction(_UNIT_MS[unit], 1000))}"


def timing_of(use: Use, catalogue: Catalogue, as_of: str | None) -> Timing | None:
    """None for what is not bought by time."""
    billing = billing_of(use.service, catalogue, as_of)
    if billing is None:
        return None
    each, times = _each(use)
    billed = billed_ms(billing, each)
    notes = [*_shared_out(use, each), *_limit(use, longest_ms_of(use.service, catalogue), each)]
    if billed != each:
        notes.append(_rounded(use, each, billed, billing))
    return Timing(billed_ms=billed, times=times, notes=notes)


def _each(use: Use) -> tuple[Fraction, Fraction]:
    """Length of one of so many. What all requests took together is shared out evenly among them."""
    if (each := use.amount("each")) is not None:
        requests = use.amount("requests")
        if requests is None or not requests:
            raise EstimateInvalid(f"{use.name}: the length of each request is given, and no requests")
        return each, requests
    hours = use.amount("hours")
    total = use.amount("duration") if hours is None else hours * HOUR_MS
    assert total is not None  # a use of what is bought by time was checked for it
    requests = use.amount("requests") or Fraction(1)
    if total / requests < 1:
        raise EstimateInvalid(
            f"{use.name}: {time_words(total)} for {written(requests)} requests is less than 1 ms for each",
            hint="`duration` is the time of all requests together; `each` is the time of one",
        )
    return total / requests, requests * (use.amount("count") or 1)


def _shared_out(use: Use, each: Fraction) -> list[str]:
    requests = use.amount("requests") or 0
    if requests <= 1 or use.amount("each") is not None:
        return []
    return [f"{use.service.title}: {time_words(each * requests)} for all requests, {time_words(each)} for each"]


def _limit(use: Use, longest_ms: int | None, each: Fraction) -> list[str]:
    """Raises EstimateInvalid where a request was said to take longer than any can; a length of time in which nothing
    is said of requests is an amount."""
    if longest_ms is None or each <= longest_ms:
        return []
    service, longest = use.service, time_words(Fraction(longest_ms))
    if use.amount("each") is not None:
        raise EstimateInvalid(
            f"{use.name}: {time_words(each)} for each request, and no {service.one} can be longer than {longest}",
            hint="divide the work into shorter requests, or take a container or machine",
        )
    return [
        f"{service.title}: no single {service.one} can be longer than {longest}: this is priced as an amount of use"
    ]


def _rounded(use: Use, each: Fraction, billed: Fraction, billing: Billing) -> str:
    rule = f"by {time_words(Fraction(billing.increment_ms))} begun"
    if billing.minimum_ms > billing.increment_ms:
        rule += f", at least {time_words(Fraction(billing.minimum_ms))}"
    return f"{use.service.title}: {time_words(each)} is billed as {time_words(billed)} ({rule})"
