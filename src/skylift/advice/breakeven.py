"""Where two ways cost the same: a function and an instance, buying and renting, a machine that stays and ones that come
and go."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from skylift.advice.book import Book
from skylift.advice.figures import Figure, Input, Lack, assumed, figure, passed_on
from skylift.advice.functions import request

REQUESTS = "function or instance"
HOURS = Input(name="hours", value=Fraction(730), unit="h", source="definition: 8,760 hours a year over 12 months")
LIFETIME = assumed("lifetime", 36, "months", "three years, the longest term for which providers reserve machines")
STARTS = assumed("starts", Fraction(11, 10), "", "a tenth more hours than worked, for machines that start and load")
SMALL = {"aws": "t3.medium", "gcp": "e2-medium", "azure": "Standard_B2s"}
"""A machine to work on, 2 processors and 4 GiB, that stays while others come and go."""


def figures(book: Book) -> list[Figure]:
    """All that the answers and the catalogue allow; the others say what is lacking."""
    return [*function_or_instance(book), *buy_or_rent(book), *stay_or_go(book)]


def function_or_instance(book: Book) -> list[Figure]:
    topic = REQUESTS
    prices, instance = book.prices, book.get("requests.instance")
    hour: Input | Lack = Lack(needs=("requests.instance",))
    if instance is not None:
        hour = prices.machine(instance, "on-demand", "instance")
    each = request(book, topic)
    month = figure("instance-month", topic, "the instance for a month", "USD", "instance * hours", hour, HOURS)
    return [each, month, *_crossing(book, topic, each, month, hour)]


def _crossing(book: Book, topic: str, each: Figure, month: Figure, hour: Input | Lack) -> list[Figure]:
    requests = book.answer("requests.per_month", "requests", "")
    even = figure(
        "function-break-even",
        topic,
        "requests a month at which a function costs as much as one instance",
        "requests",
        "instance_month / request",
        passed_on(month, "instance_month"),
        passed_on(each, "request"),
        note="below it the function is cheaper, above it the instance, as far as one instance can serve them",
    )
    capacity = figure(
        "instance-capacity",
        topic,
        "requests a month that one instance can serve, busy all the time",
        "requests",
        "hours * hour / duration",
        HOURS,
        Input(name="hour", value=Fraction(3600), unit="s/h", source="definition"),
        book.answer("requests.instance_duration", "duration", "s"),
        note="one request after the other; those that come at once wait for each other",
    )
    needed = _needed(book, topic, capacity, requests)
    share = figure(
        "function-share", topic, "your requests over the break-even", "ratio", "requests / break_even", requests,
        passed_on(even, "break_even"),
    )  # fmt: skip
    functions = figure(
        "functions-month", topic, "your requests on functions", "USD a month", "requests * request", requests,
        passed_on(each, "request"),
    )  # fmt: skip
    instances = figure(
        "instances-month", topic, "your requests on instances", "USD a month", "instances * instance * hours",
        passed_on(needed, "instances"), hour, HOURS,
    )  # fmt: skip
    return [even, capacity, needed, share, functions, instances]


def _needed(book: Book, topic: str, capacity: Figure, requests: Input | Lack) -> Figure:
    """For the busiest second where it was answered, else for the average one."""
    title = "instances that your requests need"
    if book.has("requests.peak_per_second"):
        return figure(
            "instances-needed", topic, title, "instances", "max(1, ceil(peak * duration))",
            book.answer("requests.peak_per_second", "peak", "/s"),
            book.answer("requests.instance_duration", "duration", "s"),
        )  # fmt: skip
    return figure(
        "instances-needed", topic, title, "instances", "max(1, ceil(requests / capacity))", requests,
        passed_on(capacity, "capacity"), note="as if they came evenly: the busiest second was not answered",
    )  # fmt: skip


def buy_or_rent(book: Book) -> list[Figure]:
    topic = "buy or rent"
    hour, machines, kind = book.rented()
    discount = book.prices.discount(kind.name) if kind is not None else ""
    worked = book.answer("hardware.hours_per_month", "hours", "h")
    price = book.answer("hardware.price", "price", "USD")
    running = book.answer("hardware.running_per_month", "running", "USD")
    life = _used_for(book)
    rent = figure(
        "renting-month", topic, "renting for the hours worked", "USD a month", "hour * machines * hours",
        hour, machines, worked, note=discount,
    )  # fmt: skip
    own = figure(
        "owning-month", topic, "owning, spread over the time of use", "USD a month", "price / lifetime + running",
        price, life, running,
    )  # fmt: skip
    payback = figure(
        "buying-payback", topic, "months until buying has paid for itself", "months", "price / (rent - running)",
        price, passed_on(rent, "rent"), running,
    )  # fmt: skip
    if (payback.value is not None and payback.value < 0) or payback.note.endswith("divide by"):
        payback = msgspec.structs.replace(
            payback, value=None, note="never: running it costs as much a month as renting, or more"
        )
    even = figure(
        "buying-hours", topic, "hours a month at which owning costs as much as renting", "h a month",
        "owning / (hour * machines)", passed_on(own, "owning"), hour, machines,
        note="of 730: below it rent, above it buy",
    )  # fmt: skip
    share = figure(
        "buying-share", topic, "a month of owning over a month of renting", "ratio", "owning / rent",
        passed_on(own, "owning"), passed_on(rent, "rent"),
    )  # fmt: skip
    return [rent, _reserved(book, topic), own, payback, even, share]


def _reserved(book: Book, topic: str) -> Figure:
    """All hours of a month, since they are paid whether they are used or not."""
    hour, machines, _ = book.rented("reserved", "reserved")
    return figure(
        "reserved-month", topic, "renting reserved, paid whether used or not", "USD a month",
        "reserved * machines * hours", hour, machines, HOURS,
    )  # fmt: skip


def _used_for(book: Book) -> Input | Lack:
    """As long as the machine is used, and no longer than the work goes on."""
    life = book.answer("hardware.lifetime", "lifetime", "months", of=2_628_000)
    lasts = book.answer("budget.lasts", "lifetime", "months", of=2_628_000)
    given = [one for one in (life, lasts) if isinstance(one, Input)]
    if isinstance(life, Lack):
        given.append(LIFETIME)
    return min(given, key=lambda one: one.value)


def stay_or_go(book: Book) -> list[Figure]:
    """A machine that is always there, against ones that come for the work beside a small one that stays."""
    topic = "persistent or ephemeral"
    hour, machines, kind = book.rented()
    discount = book.prices.discount(kind.name) if kind is not None else ""
    spot, _, _ = book.rented("spot")
    worked = book.answer("hardware.hours_per_month", "worked", "h")
    small = _small(book)
    stays = figure(
        "persistent-month", topic, "machines that are always there", "USD a month", "hour * machines * hours",
        hour, machines, HOURS, note=discount,
    )  # fmt: skip
    formula = "hour * machines * worked * starts + small * hours"
    goes = figure(
        "ephemeral-month", topic, "machines for the work only, and a small one that stays", "USD a month", formula,
        hour, machines, worked, STARTS, small, HOURS,
    )  # fmt: skip
    on_spot = figure(
        "ephemeral-spot-month", topic, "the same on spot machines", "USD a month", formula,
        spot, machines, worked, STARTS, small, HOURS, note="without what is done again after preemptions",
    )  # fmt: skip
    even = figure(
        "ephemeral-hours", topic, "hours a month up to which ephemeral machines are cheaper", "h a month",
        "(persistent - small * hours) / (hour * machines * starts)", passed_on(stays, "persistent"), small, HOURS,
        hour, machines, STARTS, note="of 730; above it machines that stay",
    )  # fmt: skip
    return [stays, goes, on_spot, even]


def _small(book: Book) -> Input | Lack:
    type = SMALL.get(book.place.cloud)
    if type is None:
        return Lack(why=f"no small machine of {book.place.cloud} in the catalogue")
    return book.prices.machine(type, "on-demand", "small")
