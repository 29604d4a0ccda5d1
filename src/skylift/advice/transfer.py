"""The data on its way: how long a line takes to carry it, what storing it costs, and what it costs to leave again."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from skylift.advice.book import Book
from skylift.advice.figures import Figure, Input, Lack, assumed, figure, show
from skylift.pricing.catalogue import Rate

TOPIC = "data"
EFFICIENCY = assumed(
    "efficiency", Fraction(4, 5), "share", "four fifths of a line carry data, the rest is protocol and other traffic"
)


def figures(book: Book) -> list[Figure]:
    """Time to move, storage a month, egress of the results, and of all of it on leaving."""
    leaving = egress(book, "data.results_per_month", "egress-month")
    return [_time(book), _share(book), _storage(book), leaving, egress(book, "data.size", "egress-all")]


BITS = Input(name="bits", value=Fraction(8 * 10**9), unit="bit/GB", source="8 bits a byte, 10^9 bytes a GB")
HOUR = Input(name="hour", value=Fraction(3600), unit="s/h", source="definition")


def _time(book: Book) -> Figure:
    return figure(
        "transfer-time",
        TOPIC,
        "moving the data over the line, once",
        "h",
        "data * bits / (speed * efficiency * hour)",
        book.answer("data.size", "data", "GB"),
        BITS,
        book.answer("networking.speed", "speed", "bit/s"),
        EFFICIENCY,
        HOUR,
        note="with nothing else on the line; providers charge nothing for data that comes in",
    )


def _share(book: Book) -> Figure:
    return figure(
        "transfer-share",
        TOPIC,
        "how much of the line each month's new data takes",
        "share",
        "new_data * bits / (speed * efficiency * hour * hours)",
        book.answer("data.changes_per_month", "new_data", "GB"),
        BITS,
        book.answer("networking.speed", "speed", "bit/s"),
        EFFICIENCY,
        HOUR,
        Input(name="hours", value=Fraction(730), unit="h", source="definition: 8,760 hours a year over 12 months"),
    )


def _storage(book: Book) -> Figure:
    return _tiered(book, "data.size", "storage-month", _STORAGE, "storage", "object")


_STORAGE = ("keeping the data in object storage", "USD a month")
_TITLES = {
    "egress-month": ("egress of what leaves each month", "USD a month"),
    "egress-all": ("egress of all the data, once, on leaving the provider", "USD"),
}


def egress(book: Book, path: str, id: str) -> Figure:
    """To the internet."""
    return _tiered(book, path, id, _TITLES[id], "transfer", "internet")


def _tiered(book: Book, path: str, id: str, words: tuple[str, str], service: str, item: str) -> Figure:
    """By the tiers of the price list: each GB at the rate of the tier that it falls into. What lies beyond the last
    tier of which the source has the price has none."""
    title, unit = words
    amount = book.answer(path, "amount", "GB")
    rows = book.prices.tiers(service, item)
    if isinstance(amount, Lack):
        return figure(id, TOPIC, title, unit, "amount", amount)
    if not rows or rows[0].tier_from > 0:
        return figure(id, TOPIC, title, unit, "amount", book.prices.no_rate(service, item))
    end = book.prices.end(rows[-1])
    if end is not None and amount.value > end:
        why = f"no price of {service} {item} beyond {show(end, 'GB')} a month in {book.place.region}"
        return figure(id, TOPIC, title, unit, "amount", Lack(why=why))
    inputs: list[Input] = []
    for number, (share, row) in enumerate(_parts(amount.value, rows), start=1):
        within = f"what of answer {path} falls into the tier from {row.tier_from:f} GB"
        inputs.append(Input(name=f"amount_{number}", value=share, unit="GB", source=within, answers=(path,)))
        inputs.append(book.prices.tier(row, f"rate_{number}", f"USD/{row.unit}"))
    formula = " + ".join(f"amount_{number} * rate_{number}" for number in range(1, len(inputs) // 2 + 1))
    note = "a GB is 10^9 bytes here; a provider that counts 2^30 bills 7 % less"
    return figure(id, TOPIC, title, unit, formula, *inputs, note=note)


def _parts(amount: Fraction, rows: tuple[Rate, ...]) -> list[tuple[Fraction, Rate]]:
    """How much falls into each tier; of nothing, nothing into the first."""
    ends = [*(row.tier_from for row in rows[1:]), Decimal("Infinity")]
    parts: list[tuple[Fraction, Rate]] = []
    for row, end in zip(rows, ends, strict=True):
        start = Fraction(row.tier_from)
        top = amount if end.is_infinite() else min(amount, Fraction(end))
        if top > start or not parts:
            parts.append((max(top - start, Fraction(0)), row))
    return parts
