"""The factors that rules look at: the answers by their paths, and what follows from them and from the figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import msgspec

from skylift.advice.amounts import Amount, Money, Span
from skylift.advice.figures import Figure, show
from skylift.advice.project import Project, answers
from skylift.advice.questions import amount_of

MONTH_S = 730 * 3600
"""The month of price lists: 8,760 hours over 12."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One factor."""

    value: Any
    """In the units of its kind: GB, seconds, bits a second, dollars, GiB."""
    shown: str
    of: tuple[str, ...]
    """The answers that it follows from."""


class Facts(Mapping[str, Fact]):
    """By name. What is not known says which answers would make it known."""

    def __init__(self, known: Mapping[str, Fact], lacking: Mapping[str, tuple[str, ...]]) -> None:
        self._known = dict(known)
        self._lacking = dict(lacking)

    def __getitem__(self, name: str) -> Fact:
        return self._known[name]

    def __iter__(self) -> Any:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def needs(self, name: str) -> tuple[str, ...]:
        """Questions whose answers are lacking for it; of an answer, its own."""
        return self._lacking.get(name, (name,) if name not in DERIVED else ())


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """A factor that follows from answers or from a figure."""

    title: str
    of: tuple[str, ...] = ()
    figure: str | None = None
    kind: type[Amount] | None = None
    """What its values in rules are written as."""
    make: Callable[..., Any] | None = None
    """From the values of `of`, in their order."""


def _needs_gpu(gpu: str) -> bool:
    return gpu.lower() != "none"


def _uneven(per_month: int, peak: float) -> float | None:
    average = per_month / MONTH_S
    return peak / average if average else None


DERIVED: dict[str, Derived] = {
    "hardware.needs_gpu": Derived(title="needs a GPU", of=("hardware.gpu",), make=_needs_gpu),
    "requests.peak_over_average": Derived(
        title="busiest second over the average one",
        of=("requests.per_month", "requests.peak_per_second"),
        make=_uneven,
    ),
    "requests.average_per_second": Derived(
        title="requests in an average second", of=("requests.per_month",), make=lambda per_month: per_month / MONTH_S
    ),
    "transfer.time": Derived(title="time to move the data", figure="transfer-time", kind=Span),
    "transfer.share_of_line": Derived(title="share of the line that new data takes", figure="transfer-share"),
    "function.share_of_break_even": Derived(
        title="requests over those at which functions cost as much", figure="function-share"
    ),
    "buying.share_of_renting": Derived(title="a month of owning over a month of renting", figure="buying-share"),
    "renting.per_month": Derived(title="rent a month", figure="renting-month", kind=Money),
    "data.leaving_per_month": Derived(title="egress a month", figure="egress-month", kind=Money),
}
_SECONDS = {"h": 3600, "s": 1}


def facts(project: Project, figures: Mapping[str, Figure]) -> Facts:
    """Of a project, with the figures that were worked out for it."""
    given = answers(project)
    known = {path: Fact(value=_plain(one), shown=shown(one), of=(path,)) for path, one in given.items()}
    lacking: dict[str, tuple[str, ...]] = {}
    for name, derived in DERIVED.items():
        fact = _from_figure(derived, figures) if derived.figure else _from_answers(derived, known)
        if isinstance(fact, Fact):
            known[name] = fact
        else:
            lacking[name] = fact
    return Facts(known, lacking)


def units_of(factor: str) -> type[Amount] | None:
    """How values of a factor are written in rules; None for plain numbers and words."""
    return DERIVED[factor].kind if factor in DERIVED else amount_of(factor)


def shown(given: Any) -> str:
    """An answer in a sentence."""
    if isinstance(given, tuple):
        return ", ".join(given) or "nothing"
    if isinstance(given, Money):
        return show(given.value, "USD")
    if isinstance(given, bool):
        return "yes" if given else "no"
    return show(Fraction(str(given))) if isinstance(given, (int, float)) else str(given)


def _plain(given: Any) -> Any:
    return given.value if isinstance(given, Amount) else given


def _from_answers(derived: Derived, known: Mapping[str, Fact]) -> Fact | tuple[str, ...]:
    missing = tuple(path for path in derived.of if path not in known)
    if missing or derived.make is None:
        return missing
    value = derived.make(*(known[path].value for path in derived.of))
    if value is None:
        return ()
    text = shown(value) if isinstance(value, bool) else show(Fraction(value), "ratio")
    return Fact(value=value, shown=text, of=derived.of)


def _from_figure(derived: Derived, figures: Mapping[str, Figure]) -> Fact | tuple[str, ...]:
    found = figures.get(derived.figure or "")
    if found is None:
        return ()
    if found.value is None:
        return found.needs
    value = found.value * _SECONDS[found.unit] if derived.kind is Span else found.value
    return Fact(value=value, shown=found.shown, of=found.answers)
