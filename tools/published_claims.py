"""Checks published claims about what computing in clouds costs, and writes docs/published-claims.md:
`python tools/published_claims.py`.

The claims stand in published_claims.json: what was published, and the formula that it should be the value of. Prices in
formulas are rows of the catalogue of the day that is named. A claim holds if its value rounds to what was published, or
is cut off to it; the rest of the verdicts are explained where they are given.
"""

from __future__ import annotations

import ast
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import msgspec

from skylift.pricing.catalogue import MachinePrice, Rate, catalogue
from skylift.pricing.estimate.amounts import written

CLAIMS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).parents[1] / "docs/published-claims.md"
REGION = "us-east-1"
KNOWN = catalogue(Path(__file__).parent)
"""What is shipped: no home with prices of one's own lies here."""
DIGITS = 7
HALF_A_TENTH = Fraction(1, 20)
"""Seconds are published to one digit behind the point: half of that more or less is as true."""

EXACT, ROUNDED, CUT = "exact", "holds (rounding)", "holds (cut off, not rounded)"
SECONDS, DRIFT, FAILS = "holds (its seconds are rounded)", "holds (a price of another day)", "**does not hold**"


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    what: str
    rate: tuple[str, str] | None = None
    """Service and item."""
    machine: tuple[str, ...] = ()
    """Service, type, market, and the term of a reservation."""
    as_of: str | None = None
    of: int = 1
    """The row is the price of so many."""


class Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A published figure that others follow from."""

    what: str
    value: str


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    claim: str
    published: str
    formula: str | None = None
    type: str | None = None
    """Of a claim about a machine type that there may not be."""
    seconds: str | None = None
    """Rounded, in the formula as `seconds`."""
    drift: str | None = None
    """The share by which a price may differ from one day to another."""
    why: str = ""
    beside: str | None = None
    """Another formula, for `why`."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    claims: tuple[Claim, ...]
    seed: bool = False
    """Of the table that the project began with."""


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prices: dict[str, Price]
    given: dict[str, Given]
    sections: tuple[Section, ...]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    claim: Claim
    value: Fraction | None
    formula: str
    verdict: str
    why: str


def claims() -> Claims:
    return msgspec.json.decode(CLAIMS.read_bytes(), type=Claims)


def rows(prices: Mapping[str, Price]) -> dict[str, MachinePrice | Rate]:
    """Raises LookupError for a price that the catalogue does not have."""
    found: dict[str, MachinePrice | Rate] = {}
    for name, price in prices.items():
        if price.rate is not None:
            row: MachinePrice | Rate | None = KNOWN.rate(*price.rate, REGION, "on-demand", price.as_of)
        else:
            service, type, market, *term = price.machine
            row = KNOWN.machine_price(service, type, REGION, market, price.as_of, term=term[0] if term else None)
        if row is None:
            raise LookupError(f"no price of {name}: {price}")
        found[name] = row
    return found


def numbers(all_claims: Claims) -> dict[str, Fraction]:
    """What the names in formulas stand for."""
    found = {name: Fraction(one.value) for name, one in all_claims.given.items()}
    for name, row in rows(all_claims.prices).items():
        usd = row.usd if isinstance(row, Rate) else row.usd_per_hour
        found[name] = Fraction(usd) / all_claims.prices[name].of
    return found


# Verdicts ------------------------------------------------------------------------------------------------------------


def check(claim: Claim, names: Mapping[str, Fraction]) -> Checked:
    if claim.formula is None:
        return _check_type(claim)
    seconds = Fraction(claim.seconds or 0)
    value = evaluate(claim.formula, {**names, "seconds": seconds})
    why = claim.why
    if claim.beside is not None:
        why = why.replace("{beside}", number(evaluate(claim.beside, names)))
    verdict = _verdict(claim.published, value)
    if verdict == FAILS and claim.seconds is not None:
        ends = [evaluate(claim.formula, {**names, "seconds": seconds + way * HALF_A_TENTH}) for way in (1, -1)]
        if ends[0] <= Fraction(claim.published) <= ends[1]:
            verdict = SECONDS
            why = f"{number(ends[0])} to {number(ends[1])} for what rounds to {claim.seconds} s"
    if verdict == FAILS and claim.drift is not None:
        off = abs(value / Fraction(claim.published) - 1)
        verdict = DRIFT if off <= Fraction(claim.drift) else FAILS
    return Checked(claim=claim, value=value, formula=_with_numbers(claim, names), verdict=verdict, why=why)


def _check_type(claim: Claim) -> Checked:
    there = KNOWN.machine(str(claim.type)) is not None
    near = KNOWN.nearest_type(str(claim.type), "aws")[0]
    formula = "there is such a machine" if there else f"no such machine; the nearest name is {near}"
    return Checked(claim=claim, value=None, formula=formula, verdict=EXACT if there else FAILS, why=claim.why)


def _verdict(published: str, value: Fraction) -> str:
    exponent = Decimal(published).as_tuple().exponent
    assert isinstance(exponent, int)
    digit, off = Fraction(10) ** exponent, value - Fraction(published)
    if off == 0:
        return EXACT
    if abs(off) <= digit / 2:
        return ROUNDED
    return CUT if 0 < off < digit else FAILS


# Formulas ------------------------------------------------------------------------------------------------------------

_SIGNS: dict[type[ast.operator], tuple[str, Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("\N{MULTIPLICATION SIGN}", operator.mul),
    ast.Div: ("/", operator.truediv),
}


def evaluate(formula: str, names: Mapping[str, Fraction]) -> Fraction:
    """Exactly. Raises KeyError for a name that stands for nothing."""

    def of(node: ast.expr) -> Fraction:
        if isinstance(node, ast.Name):
            return names[node.id]
        if isinstance(node, ast.BinOp):
            return _SIGNS[type(node.op)][1](of(node.left), of(node.right))
        return Fraction(ast.unparse(node))  # a number, as it is written

    return of(ast.parse(formula, mode="eval").body)


def _with_numbers(claim: Claim, names: Mapping[str, Fraction]) -> str:
    """The formula as one would type it into a pocket calculator."""

    def of(node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return str(claim.seconds) if node.id == "seconds" else plain(names[node.id])
        if isinstance(node, ast.BinOp):
            sides = [of(side) for side in (node.left, node.right)]
            loose = isinstance(node.right, ast.BinOp) and isinstance(node.op, ast.Div | ast.Mult)
            return f"{sides[0]} {_SIGNS[type(node.op)][0]} " + (f"({sides[1]})" if loose else sides[1])
        return plain(Fraction(ast.unparse(node)))

    return of(ast.parse(str(claim.formula), mode="eval").body)


def plain(value: Fraction) -> str:
    return written(value).replace(",", "")


def number(value: Fraction) -> str:
    """To seven digits, without those that say nothing."""
    if value == 0:
        return "0"
    exponent = Decimal(value.numerator / value.denominator).adjusted()
    rounded = round(value * Fraction(10) ** (DIGITS - 1 - exponent)) / Fraction(10) ** (DIGITS - 1 - exponent)
    return written(Fraction(rounded))


# The page ------------------------------------------------------------------------------------------------------------


def page(all_claims: Claims) -> str:
    names = numbers(all_claims)
    checked = [[check(claim, names) for claim in section.claims] for section in all_claims.sections]
    parts = [_head([one for section in checked for one in section])]
    parts += [_section(section.title, found) for section, found in zip(all_claims.sections, checked, strict=True)]
    parts += [_given(all_claims), _prices(all_claims)]
    return "\n".join(parts)


def _head(checked: Sequence[Checked]) -> str:
    failing = sum(one.verdict == FAILS for one in checked)
    holding = len(checked) - failing
    return f"""# Published claims, checked

Of {len(checked)} published figures of what machine learning in clouds costs, {holding} hold and {failing} do not.
Each line has the figure, the formula that it should follow from, and the value of the formula. Prices in it are rows of
the catalogue of that day, in {REGION}; those, and the figures that were published beside the claims, stand at the end.
There is no free tier in it, and functions are billed by the millisecond unless it says otherwise.

*Exact*: the same number. *Rounding*: the value rounds to what was published. *Cut off*: its further digits were left
out. *Its seconds are rounded*: seconds were published to one digit, and some time that rounds to them gives the figure.
*A price of another day*: a spot price within 5 % of one that is on record.

This page is written by `python tools/published_claims.py`; tests compute each line again. What anything else costs says
`skylift prices estimate`."""


def _section(title: str, checked: Sequence[Checked]) -> str:
    lines = [
        "",
        f"## {title}",
        "",
        "| claim | published | formula | value | verdict | why |",
        "|---|---|---|---|---|---|",
    ]
    for one in checked:
        value = "" if one.value is None else number(one.value)
        shown = plain(Fraction(one.claim.published)) if "e" in one.claim.published else one.claim.published
        lines.append(f"| {one.claim.claim} | {shown} | {one.formula} | {value} | {one.verdict} | {one.why} |")
    return "\n".join(lines)


def _given(all_claims: Claims) -> str:
    lines = ["", "## Figures that were published beside them", "", "| figure | value |", "|---|---|"]
    lines += [f"| {one.what} | {one.value} |" for one in all_claims.given.values()]
    return "\n".join(lines)


def _prices(all_claims: Claims) -> str:
    lines = ["", "## Prices, from the catalogue", "", "| price | dollars | date and source |", "|---|---|---|"]
    names = numbers(all_claims)
    for name, row in rows(all_claims.prices).items():
        source = KNOWN.source(row).replace("*", "\\*")
        lines.append(f"| {all_claims.prices[name].what} | {plain(names[name])} | {source} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    if arguments:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    PAGE.write_text(page(claims()), encoding="utf-8")
    sys.stdout.write(f"written: {PAGE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
