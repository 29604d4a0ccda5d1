"""What msgspec refuses, in words of people who write YAML and JSON."""

from __future__ import annotations

import re

_EXPECTED = {
    "str": "text",
    "bool": "yes or no",
    "array": "a list",
    "object": "a table",
    "int": "a whole number",
    "float": "a number",
}
_GOT = {"str": "text", "array": "a list", "object": "a table"}
"""What is worth saying beside the value itself."""
_LIMIT = re.compile(r"Expected `(?P<kind>\w+)(?: \| null)?` (?:of length )?(?P<sign>[<>]=) (?P<limit>[\d.]+)")
_KIND = re.compile(r"Expected `(?P<expected>\w+)(?: \| null)?`, got `(?P<got>\w+)`")
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`")


def taken_apart(problem: str) -> tuple[str, str]:
    """What is said, and the path of what it is said of (`data.size`, `purpose[1]`); the path is empty at the top."""
    at = _AT.search(problem)
    return _AT.sub("", problem), at["path"] if at else ""


def in_words(said: str) -> str:
    """msgspec's words in ours."""
    limit, kind = _LIMIT.fullmatch(said), _KIND.fullmatch(said)
    if limit is not None:
        return _limit(limit["kind"], limit["sign"], limit["limit"].removesuffix(".0"))
    if kind is not None:
        but = f", not {_GOT[kind['got']]}" if kind["got"] in _GOT else ""
        return f"it must be {_EXPECTED.get(kind['expected'], kind['expected'])}{but}"
    return "not one of the answers there are" if said.startswith("Invalid enum value") else said


def _limit(kind: str, sign: str, limit: str) -> str:
    if kind == "str":
        return "it must not be empty" if sign == ">=" else f"it must have at most {limit} characters"
    way = "at least" if sign == ">=" else "at most"
    number = f"{int(limit):,}" if limit.isdecimal() else limit
    return f"it must be {'a whole number of ' if kind == 'int' else ''}{way} {number}"
