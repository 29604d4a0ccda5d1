"""Which variables an expression binds itself, which it takes from outside, and which parts of `$states` it reads."""

from __future__ import annotations

from typing import NamedTuple

from skylift.asl.jsonata.tokens import Token

MEMBERS = ("input", "result", "errorOutput", "context")


class Names(NamedTuple):
    bound: frozenset[str]
    free: frozenset[str]
    called: frozenset[str]
    reads: frozenset[str]


def find_names(tokens: list[Token]) -> Names:
    bound = _bound(tokens)
    free: set[str] = set()
    called: set[str] = set()
    reads: set[str] = set()
    for index, token in enumerate(tokens):
        if token.kind != "variable" or not token.text:
            continue
        following = tokens[index + 1]
        if token.text == "states":
            reads.update(_read(tokens, index))
        elif following.text == "(" and following.kind == "operator":
            called.add(token.text)
        elif not (following.text == ":=" or token.text == "$"):
            free.add(token.text)
    return Names(frozenset(bound), frozenset(free), frozenset(called), frozenset(reads))


def _bound(tokens: list[Token]) -> set[str]:
    bound: set[str] = set()
    in_parameters = False
    for index, token in enumerate(tokens):
        if token.text in ("function", "λ") and token.kind in ("name", "operator"):
            in_parameters = tokens[index + 1].text == "("
        elif in_parameters and token.text in (")", "<"):
            in_parameters = False
        elif token.kind == "variable" and (
            in_parameters or tokens[index + 1].text == ":=" or tokens[index - 1].text in ("@", "#")
        ):
            bound.add(token.text)
    return bound


def _read(tokens: list[Token], index: int) -> tuple[str, ...]:
    dot, member = tokens[index + 1], tokens[min(index + 2, len(tokens) - 1)]
    if dot.text == "." and member.kind in ("name", "quoted"):
        return (member.text,) if member.text in MEMBERS else ()
    return MEMBERS
