"""A number of the report: worked out from a formula that is shown with it, exact, with the source of each input.

The formula is what is computed, so that what is printed and what was done cannot differ.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import msgspec


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """What a formula is fed with."""

    name: str
    value: Fraction
    unit: str
    source: str
    """An answer (`answer requests.memory`), a row of the catalogue, another figure, or an assumption, which says so."""
    answers: tuple[str, ...] = ()
    """The answers that are behind it."""


class Lack(msgspec.Struct, frozen=True, kw_only=True):
    """An input that is not there: the answers that would bring it, or why no answer can."""

    needs: tuple[str, ...] = ()
    why: str = ""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of the report."""

    id: str
    topic: str
    title: str
    value: Fraction | None
    """None where it cannot be known; `note` says why."""
    unit: str
    formula: str = ""
    working: str = ""
    """The formula with its numbers."""
    inputs: tuple[Input, ...] = ()
    note: str = ""
    needs: tuple[str, ...] = ()
    """The questions whose answers are lacking."""

    @property
    def answers(self) -> tuple[str, ...]:
        """All that it follows from."""
        return tuple(dict.fromkeys(path for one in self.inputs for path in one.answers))

    @property
    def shown(self) -> str:
        return "not known" if self.value is None else show(self.value, self.unit)


def figure(id: str, topic: str, title: str, unit: str, formula: str, *given: Input | Lack, note: str = "") -> Figure:
    """Work the formula out: + - * / and ceil, min, max over the names of inputs. With an input lacking, or a division
    by nothing, the figure is not known and says why."""
    lacking = [one for one in given if isinstance(one, Lack)]
    inputs = tuple(one for one in given if isinstance(one, Input))
    bare = Figure(id=id, topic=topic, title=title, value=None, unit=unit, inputs=inputs)
    if lacking:
        return _without(bare, lacking)
    tree = ast.parse(formula, mode="eval").body
    try:
        value = _value(tree, {one.name: one.value for one in inputs})
    except ZeroDivisionError:
        return msgspec.structs.replace(bare, note=f"{formula.replace('_', ' ')}: there is nothing to divide by")
    return msgspec.structs.replace(
        bare,
        value=value,
        formula=_words(tree, {one.name: one.name.replace("_", " ") for one in inputs}),
        working=_words(tree, {one.name: show(one.value, one.unit) for one in inputs}),
        note=note,
    )


def passed_on(found: Figure, name: str) -> Input | Lack:
    """A figure as the input of another."""
    if found.value is None:
        return Lack(needs=found.needs, why="" if found.needs else found.note)
    source = f"worked out: {found.title}"
    return Input(name=name, value=found.value, unit=found.unit, source=source, answers=found.answers)


def assumed(name: str, value: Fraction | int | str, unit: str, why: str) -> Input:
    """What nobody was asked for: said to be an assumption wherever it is used."""
    return Input(name=name, value=Fraction(value), unit=unit, source=f"assumption: {why}")


def _without(bare: Figure, lacking: Sequence[Lack]) -> Figure:
    needs = tuple(dict.fromkeys(path for one in lacking for path in one.needs))
    reasons = list(dict.fromkeys(one.why for one in lacking if one.why))
    if needs:
        reasons.insert(0, f"not answered: {', '.join(needs)}")
    return msgspec.structs.replace(bare, needs=needs, note="; ".join(reasons))


_FUNCTIONS: dict[str, Callable[..., Any]] = {"ceil": math.ceil, "min": min, "max": max}
_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "x", ast.Div: "/"}


def _value(node: ast.expr, values: Mapping[str, Fraction]) -> Fraction:
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.Constant):
        return Fraction(str(node.value))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return Fraction(_FUNCTIONS[node.func.id](*(_value(one, values) for one in node.args)))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, values), _value(node.right, values)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        return left * right if isinstance(node.op, ast.Mult) else left / right
    raise ValueError(f"{ast.unparse(node)} is no part of a formula")


def _words(node: ast.expr, names: Mapping[str, str], within: int = 0) -> str:
    """As people write it; brackets only where they are needed."""
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return f"{node.func.id}({', '.join(_words(one, names) for one in node.args)})"
    if isinstance(node, ast.BinOp):
        rank = 1 if isinstance(node.op, (ast.Add, ast.Sub)) else 2
        tight = rank + (not isinstance(node.op, (ast.Add, ast.Mult)))  # what stands behind - and /
        text = f"{_words(node.left, names, rank)} {_SIGNS[type(node.op)]} {_words(node.right, names, tight)}"
        return f"({text})" if rank < within else text
    raise ValueError(f"{ast.unparse(node)} is no part of a formula")


_ONE = {"requests": "request", "predictions": "prediction", "instances": "instance", "months": "month"}


def show(value: Fraction, unit: str = "") -> str:
    """`$55.44`, `3,097,207 predictions`, `$0.0000179`: six digits that count, and never fewer than the cents."""
    if unit in ("USD", "USD a month") and abs(value) >= 1:
        value = Fraction(round(value * 100), 100)
    if unit.startswith("USD"):
        return ("-" if value < 0 else "") + f"${_digits(abs(value), 2, 12 if abs(value) >= 1 else 6)}{unit[3:]}"
    if unit == "share":
        return f"{_digits(value * 100, 0, 3)} %"
    if unit == "ratio":
        return _digits(value, 0, 3)
    return f"{_digits(value, 0)} {_ONE.get(unit, unit) if value == 1 else unit}".strip()


def _digits(value: Fraction, least: int, significant: int = 6) -> str:
    """So many digits that count; all before the point; `least` behind it at least."""
    if value <= 0:
        return "0" if value == 0 else f"-{_digits(-value, least, significant)}"
    size = math.floor(math.log10(abs(value.numerator)) - math.log10(value.denominator))
    places = min(max(significant - 1 - size, least), 18)
    scaled = round(value * 10**places)
    text = f"{scaled // 10**places:,}.{scaled % 10**places:0{places}d}" if places else f"{scaled:,}"
    whole, _, behind = text.partition(".")
    behind = behind.rstrip("0")
    if not behind:
        return whole
    return f"{whole}.{behind.ljust(least, '0')}"
