"""What a request on a function costs as it is billed: memory by the sizes that there are, time by what is begun of an
increment, and the processor where it is billed beside memory. What no function can do has no price."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from skylift.advice.book import Book
from skylift.advice.figures import Figure, Input, Lack, figure, show
from skylift.pricing.catalogue import Rule, Size

_GIB = 1024


def request(book: Book, topic: str) -> Figure:
    rule = book.prices.catalogue.rules_of(book.place.cloud).get("function")
    memory = book.answer("requests.memory", "memory", "GB")
    duration = book.answer("requests.duration", "duration", "s")
    size: Size | None = None
    if rule is not None and isinstance(memory, Input):
        memory, size = _memory(book, rule, memory)
    if rule is not None and isinstance(duration, Input):
        duration = _duration(book, rule, duration)
    prices = book.prices
    formula = "memory * duration * gb_second + fee"
    inputs = [
        memory,
        duration,
        prices.rate("function", "memory", "gb_second", "USD/GB-s"),
        prices.rate("function", "requests", "fee", "USD"),
    ]
    if rule is not None and size is not None and size.ghz is not None:
        formula = "memory * duration * gb_second + clock * duration * ghz_second + fee"
        inputs += [_clock(book, rule, size), prices.rate("function", "cpu", "ghz_second", "USD/GHz-s")]
    note = "no free tier counted, nor cold starts"
    return figure("function-request", topic, "one request on a function", "USD", formula, *inputs, note=note)


def _memory(book: Book, rule: Rule, asked: Input) -> tuple[Input | Lack, Size | None]:
    """The smallest size that has room for it."""
    mib = asked.value * _GIB
    fitting = [(billed, size) for size in rule.sizes if (billed := _billed_mib(size, mib)) <= size.most_mib]
    if not fitting:
        most = show(Fraction(max(size.most_mib for size in rule.sizes), _GIB), "GiB")
        return Lack(why=f"no function of {book.place.cloud} has {show(asked.value, 'GiB')}: at most {most}"), None
    billed, size = min(fitting, key=lambda one: one[0])
    return _as_billed(book, rule, asked, Fraction(billed, _GIB), "by the sizes that there are"), size


def _billed_mib(size: Size, mib: Fraction) -> int:
    return max(size.least_mib, int(-(-mib // size.step_mib)) * size.step_mib)


def _duration(book: Book, rule: Rule, asked: Input) -> Input | Lack:
    if rule.longest_ms is not None and asked.value * 1000 > rule.longest_ms:
        longest = show(Fraction(rule.longest_ms, 1000), "s")
        return Lack(why=f"no function of {book.place.cloud} runs for {show(asked.value, 's')}: at most {longest}")
    begun = -(-asked.value * 1000 // rule.increment_ms) * rule.increment_ms
    billed = Fraction(max(begun, rule.minimum_ms), 1000)
    return _as_billed(book, rule, asked, billed, f"by {rule.increment_ms} ms begun, at least {rule.minimum_ms} ms")


def _as_billed(book: Book, rule: Rule, asked: Input, billed: Fraction, how: str) -> Input:
    if billed == asked.value:
        return asked
    source = f"{asked.source}, {show(asked.value, asked.unit)}, billed {how} ({book.prices.catalogue.source(rule)})"
    return msgspec.structs.replace(asked, value=billed, source=source)


def _clock(book: Book, rule: Rule, size: Size) -> Input:
    source = f"processor that comes with the memory: {book.prices.catalogue.source(rule)}"
    return Input(name="clock", value=Fraction(str(size.ghz)), unit="GHz", source=source, answers=("requests.memory",))
