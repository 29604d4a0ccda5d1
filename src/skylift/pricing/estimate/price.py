"""From uses to lines: each charge of a service is the product of its factors, at the price of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import msgspec

from skylift.pricing.catalogue import Catalogue, catalogue
from skylift.pricing.dates import last_day
from skylift.pricing.estimate.amounts import TIMES, EstimateInvalid, memory_words, written
from skylift.pricing.estimate.lines import Estimate, Line, Meter, by_tier, free_line, rate_line, scale_of, time_unit
from skylift.pricing.estimate.machines import machine_lines
from skylift.pricing.estimate.missing import no_further_rate, no_rate
from skylift.pricing.estimate.room import ghz_of, memory_of
from skylift.pricing.estimate.rules import Charge, Factor, Free, Rules, rules
from skylift.pricing.estimate.timing import Timing, timing_of
from skylift.pricing.estimate.uses import Use, read_use
from skylift.pricing.missing import NoPrice
from skylift.pricing.rows import Rate

_NOUNS: dict[Factor, str] = {
    "requests": "requests",
    "reads": "reads",
    "writes": "writes",
    "transitions": "transitions",
    "data": "GB",
    "months": "months",
    "vcpus": "vCPU",
}


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What all uses of a bill have in common."""

    catalogue: Catalogue
    rules: Rules
    meter: Meter
    as_of: str | None = None
    free_tier: bool = False


def estimate(uses: Sequence[Use], known: Catalogue, *, as_of: str | None = None, free_tier: bool = False) -> Estimate:
    """Of a month's bill. Raises NoPrice where there is none, and EstimateInvalid for what cannot be had."""
    situation = Situation(catalogue=known, rules=rules(), meter=Meter(), as_of=as_of, free_tier=free_tier)
    lines: list[Line] = []
    notes: list[str] = []
    for use in uses:
        found, said = _placed(use, situation)
        lines += found
        notes += [note for note in (*use.notes, *said) if note not in notes]
    return Estimate(lines=tuple(lines), notes=(*notes, *_of_free_tiers(uses, situation)))


def estimate_of(*uses: Mapping[str, str], as_of: str | None = None, free_tier: bool = False) -> Estimate:
    """Of uses in words, by the shipped catalogue.

    >>> found = estimate_of({"service": "lambda", "memory": "3 GiB", "duration": "1h"})
    >>> float(found.usd)
    0.18000036
    """
    known = catalogue()
    read = [read_use(use, str, known, rules()) for use in uses]
    return estimate(read, known, as_of=None if as_of is None else last_day(as_of, "as_of"), free_tier=free_tier)


def _of_free_tiers(uses: Sequence[Use], situation: Situation) -> Iterator[str]:
    """Which of the services would have one, or have none."""
    having = dict.fromkeys(_title(use) for use in uses if _has_free(use, situation))
    without = dict.fromkeys(_title(use) for use in uses if not _has_free(use, situation))
    if having and not situation.free_tier:
        yield f"no free tier is taken off; {', '.join(having)} would have one"
    if without and situation.free_tier:
        yield f"no free tier is known of {', '.join(without)}"


def _title(use: Use) -> str:
    """Of machines each type, since one may have what another has not."""
    return use.service.name if use.type is None else f"{use.type} ({use.region}, {use.market})"


def _has_free(use: Use, situation: Situation) -> bool:
    if use.service.machines:
        return _free_machine(use, situation) is not None
    return any(free.service == use.service.name for free in situation.rules.free)


def _free_machine(use: Use, situation: Situation) -> Free | None:
    if use.market != "on-demand":
        return None
    return situation.rules.free_of(use.service, use.type or "", use.region, situation.as_of)


def _placed(use: Use, situation: Situation) -> tuple[list[Line], list[str]]:
    """With the use's place in what is refused."""
    try:
        return _priced(use, situation)
    except (EstimateInvalid, NoPrice) as error:
        raise type(error)(f"{use.where}{error.message}", hint=error.hint) from error


def _priced(use: Use, situation: Situation) -> tuple[list[Line], list[str]]:
    notes = [f"{use.service.title}: {use.service.note}"] if use.service.note else []
    timing = timing_of(use, situation.catalogue, situation.as_of)
    notes += [] if timing is None else timing.notes
    if use.service.machines:
        assert timing is not None
        lines, said = machine_lines(use, timing, situation.catalogue, situation.rules, situation.as_of)
        free = _free_machine(use, situation) if situation.free_tier else None
        return [*lines, *_let_off(free, use, lines, situation)], notes + said
    memory, said_of_memory = memory_of(use, situation.catalogue)
    found: list[Line] = []
    for charge in use.service.charges:
        if all(_given(factor, use) for factor in charge.of):
            found += _charged(charge, use, timing, memory, situation)
    return found, notes + said_of_memory


def _given(factor: Factor, use: Use) -> bool:
    """Whether the use has anything to do with it. Time, and what goes with it, is always there where it is needed."""
    return factor in ("time", "each", "ghz") or factor == "months" or bool(use.amount(factor))


def _charged(
    charge: Charge, use: Use, timing: Timing | None, memory: Fraction | None, situation: Situation
) -> Iterator[Line]:
    rates = _rates(charge, use, situation)
    _, unit = scale_of(rates[0].unit)
    factors = [_factor(one, use, timing, memory, unit) for one in charge.of]
    amount = Fraction(1)
    for value, _ in factors:
        amount *= value
    words = f" {TIMES} ".join(text for _, text in factors if text)
    item = (use.service.cloud, rates[0].service, rates[0].item, rates[0].region, rates[0].market)
    start, end = situation.meter.take(item, amount)
    known = situation.rules.end_of(rates[0], use.region)
    if known is not None and end > known:
        raise no_further_rate(use, _what(charge, use), rates[-1], known, end)
    lines = [
        rate_line(
            rate,
            part,
            use=use.name,
            what=_what(charge, use),
            words=words if part == amount else f"{written(part)} of {words}",
            source=situation.catalogue.source(rate),
            region=use.region,
        )
        for rate, part in by_tier(rates, start, end)
    ]
    yield from lines
    if situation.free_tier:
        free = situation.rules.free_of(use.service, item_of(charge, use), use.region, situation.as_of)
        yield from _let_off(free, use, lines, situation)


def _rates(charge: Charge, use: Use, situation: Situation) -> Sequence[Rate]:
    """The tiers, the lowest first. Raises NoPrice."""
    service = charge.service or use.service.catalogue
    item = item_of(charge, use)
    market = use.market if use.service.spot else "on-demand"
    rates = situation.catalogue.tiers(
        service, item, use.region, use.service.cloud, market=market, as_of=situation.as_of
    )
    if not rates:
        raise no_rate(use, _what(charge, use), service, item, market, situation.catalogue, situation.as_of)
    return rates


def _what(charge: Charge, use: Use) -> str:
    return charge.say.replace("{to}", use.to or "")


def item_of(charge: Charge, use: Use) -> str:
    return (
        charge.item.replace("{class}", use.kind or "").replace("{to}", use.to or "").replace("{arch}", use.arch or "")
    )


def _factor(
    factor: Factor, use: Use, timing: Timing | None, memory: Fraction | None, unit: str
) -> tuple[Fraction, str]:
    """Its value in the unit of the rate, and in words."""
    if factor == "time" and timing is not None:
        return timing.each(time_unit(unit)), timing.words(time_unit(unit))
    if factor == "each":
        times = (use.amount("count") or Fraction(1)) if timing is None else timing.times
        return times, "" if times == 1 else written(times)
    if factor == "memory" and memory is not None:
        return memory / 1024, memory_words(memory)
    if factor == "ghz" and memory is not None:
        speed = ghz_of(use.service, memory)
        return speed, f"{written(speed)} GHz"
    amount = use.amount(factor)
    if factor == "months":
        amount = Fraction(1) if amount is None else amount
        return amount, "1 month" if amount == 1 else f"{written(amount)} months"
    assert amount is not None, (factor, use)
    return amount, f"{written(amount)} {_NOUNS[factor]}"


def _let_off(free: Free | None, use: Use, lines: Sequence[Line], situation: Situation) -> Iterator[Line]:
    for line in lines if free is not None else ():
        assert free is not None
        allowed = _allowance(free, line.unit)
        pool = ("free", use.service.name, free.pool or free.item)
        taken, _ = situation.meter.take(pool, Fraction(0))
        part = min(line.amount, allowed - taken)
        if part > 0:
            situation.meter.take(pool, part)
            unit = "h" if line.unit == "hour" else line.unit
            words = f"{written(part)} of {written(allowed)} {unit} a month"
            yield free_line(line, part, words, situation.rules.sources[free.source])


def _allowance(free: Free, unit: str) -> Fraction:
    """In the unit of the price."""
    return Fraction(free.amount) / (3600 if free.seconds and time_unit(unit) == "h" else 1)
