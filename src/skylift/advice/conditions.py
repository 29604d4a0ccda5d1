"""Conditions over factors, as data: a small form that can say nothing but comparisons, and never runs anything.

    {factor = "requests.per_month", above = 10_000_000}
    {all = [{factor = "data.sensitivity", has = "hipaa"}, {not = {factor = "security.compliance", has = "hipaa-baa"}}]}

A factor that nobody answered makes a condition neither true nor false, unless the rest of it decides. `surely` makes it
false: `{surely = {factor = "security.cleared", is = true}}` does not hold until somebody has said so.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from skylift.advice.facts import Facts, units_of

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "is": operator.eq,
    "in": lambda value, wanted: value in wanted,
    "has": lambda value, wanted: wanted in value,
    "has_any": lambda value, wanted: any(one in value for one in wanted),
    "above": operator.gt,
    "at_least": operator.ge,
    "below": operator.lt,
    "at_most": operator.le,
}
_ORDERED = ("above", "at_least", "below", "at_most")


class Verdict(NamedTuple):
    """What came of a condition."""

    holds: bool | None
    """None where it hangs on something that is not known."""
    used: tuple[str, ...] = ()
    """The factors that decided it."""
    needs: tuple[str, ...] = ()
    """The questions whose answers would decide it, or could turn it."""


class ConditionInvalid(ValueError):
    """Text of a rule that is no condition; shipped ones are tested."""


def evaluate(condition: Mapping[str, Any], facts: Facts) -> Verdict:
    """Whether it holds: of `all`, `any` and `not` as in Kleene's logic of three values."""
    if "all" in condition:
        return _together([evaluate(one, facts) for one in condition["all"]], decides=False)
    if "any" in condition:
        return _together([evaluate(one, facts) for one in condition["any"]], decides=True)
    if "not" in condition:
        found = evaluate(condition["not"], facts)
        return found._replace(holds=None if found.holds is None else not found.holds)
    if "surely" in condition:
        found = evaluate(condition["surely"], facts)
        return found._replace(holds=bool(found.holds))
    return _compare(condition, facts)


def factors(condition: Mapping[str, Any]) -> Iterator[str]:
    """Every factor that it looks at. Raises ConditionInvalid for what is no condition."""
    kinds = [key for key in ("all", "any", "not", "surely", "factor") if key in condition]
    if len(kinds) != 1:
        raise ConditionInvalid(f"{dict(condition)!r} is no condition: one of all, any, not, surely, factor begins it")
    if kinds[0] in ("all", "any"):
        for one in condition[kinds[0]]:
            yield from factors(one)
    elif kinds[0] in ("not", "surely"):
        yield from factors(condition[kinds[0]])
    else:
        name, wanted = _operator(condition)
        yield condition["factor"]
        if isinstance(wanted, Mapping):
            yield wanted["factor"]
        else:
            _in_units(condition["factor"], name, wanted)


def _together(found: Sequence[Verdict], *, decides: bool) -> Verdict:
    """`any` is decided by the first that holds, `all` by the first that does not."""
    deciding = [one for one in found if one.holds is decides]
    if deciding:
        return deciding[0]
    needs = _all(one.needs for one in found)
    if any(one.holds is None for one in found):
        return Verdict(None, needs=needs)
    return Verdict(not decides, used=_all(one.used for one in found), needs=needs)


def _compare(condition: Mapping[str, Any], facts: Facts) -> Verdict:
    name, wanted = _operator(condition)
    left, right = condition["factor"], None
    if isinstance(wanted, Mapping):
        right = wanted["factor"]
    looked_at = (left,) if right is None else (left, right)
    if any(facts.get(one) is None for one in looked_at):
        return Verdict(None, needs=_all(facts.needs(one) for one in looked_at if facts.get(one) is None))
    value = facts[left].value
    against = _in_units(left, name, wanted) if right is None else facts[right].value
    return Verdict(bool(_OPERATORS[name](value, against)), used=looked_at)


def _operator(condition: Mapping[str, Any]) -> tuple[str, Any]:
    named = [(key, value) for key, value in condition.items() if key != "factor"]
    if len(named) != 1 or named[0][0] not in _OPERATORS:
        raise ConditionInvalid(f"{dict(condition)!r}: one of {', '.join(_OPERATORS)} stands beside the factor")
    return named[0]


def _in_units(factor: str, name: str, wanted: Any) -> Any:
    """`"10 TB"` as the number that the factor is counted in."""
    kind = units_of(factor)
    if kind is None or name not in _ORDERED:
        return wanted
    return kind.parse(wanted).value


def _all(of: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for each in of for one in each))
