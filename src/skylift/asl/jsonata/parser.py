"""A parser of the part of JSONata that the fast path covers. What it does not know it leaves to the library."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from skylift.asl.json_text import parse_json
from skylift.asl.jsonata.tokens import Token


class NotCovered(Exception):
    """Valid or not, the expression is for the library."""


@dataclass(frozen=True, slots=True)
class Node:
    pass


@dataclass(frozen=True, slots=True)
class Literal(Node):
    value: Any


@dataclass(frozen=True, slots=True)
class Variable(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Context(Node):
    """`$`"""


@dataclass(frozen=True, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Filtered(Node):
    base: Node
    predicate: Node


@dataclass(frozen=True, slots=True)
class PathNode(Node):
    base: Node
    steps: tuple[tuple[str, tuple[Node, ...]], ...]


@dataclass(frozen=True, slots=True)
class Binary(Node):
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negative(Node):
    operand: Node


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    condition: Node
    then: Node
    otherwise: Node | None


@dataclass(frozen=True, slots=True)
class Array(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Object(Node):
    pairs: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Block(Node):
    expressions: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Bind(Node):
    name: str
    value: Node


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    parameters: tuple[str, ...]
    body: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    name: str
    arguments: tuple[Node, ...]


_POWERS = {
    ".": 75, "[": 80, "?": 20, "*": 60, "/": 60, "%": 60, "+": 50, "-": 50, "&": 50,
    "=": 40, "!=": 40, "<": 40, "<=": 40, ">": 40, ">=": 40, "in": 40, "and": 30, "or": 25, "..": 20, ":=": 10,
}  # fmt: skip
_STRANGE = frozenset(["(", "{", "^", "@", "#", "~>", "|", "?:", "??", "**"])
_MOST_DEPTH = 60
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def parse(tokens: list[Token]) -> Node:
    parser = _Parser(tokens)
    node = parser.expression(0)
    if parser.token.kind != "end":
        raise NotCovered
    return node


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self.token = tokens[0]

    def _advance(self) -> Token:
        taken = self.token
        self._at += 1
        self.token = self._tokens[min(self._at, len(self._tokens) - 1)]
        return taken

    def _is(self, text: str) -> bool:
        return self.token.text == text and self.token.kind in ("operator", "name")

    def _expect(self, text: str) -> None:
        if not self._is(text):
            raise NotCovered
        self._advance()

    def expression(self, power: int) -> Node:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise NotCovered
        left = self._prefix()
        while self.token.kind in ("operator", "name"):
            following = _POWERS.get(self.token.text, 0)
            if self.token.text in _STRANGE:
                raise NotCovered
            if following <= power:
                break
            left = self._infix(left, self._advance().text, following)
        self._depth -= 1
        return left

    def _prefix(self) -> Node:
        token = self._advance()
        match token.kind:
            case "variable":
                return self._variable(token)
            case "text":
                return Literal(_unescape(token.text))
            case "number":
                return Literal(_number(token.text))
            case "quoted":
                return Name(token.text)
            case "name":
                return self._word(token)
            case "operator":
                return self._bracketed(token.text)
        raise NotCovered

    def _variable(self, token: Token) -> Node:
        if self._is("("):
            self._advance()
            return Call(token.text, self._list(")"))
        if token.text == "$":
            raise NotCovered
        return Variable(token.text) if token.text else Context()

    def _word(self, token: Token) -> Node:
        if token.text == "function":
            return self._lambda()
        if token.text in ("true", "false", "null"):
            return Literal({"true": True, "false": False, "null": None}[token.text])
        if token.text in ("and", "or", "in"):
            raise NotCovered
        return Name(token.text)

    def _bracketed(self, text: str) -> Node:
        match text:
            case "λ":
                return self._lambda()
            case "-":
                operand = self.expression(70)
                if isinstance(operand, Literal) and isinstance(operand.value, int | float):
                    return Literal(-operand.value)
                return Negative(operand)
            case "[":
                return Array(self._list("]"))
            case "{":
                return self._object()
            case "(":
                return self._block()
        raise NotCovered

    def _list(self, close: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._is(close):
            items.append(self.expression(0))
            if not self._is(close):
                self._expect(",")
                if self._is(close):
                    raise NotCovered
        self._advance()
        return tuple(items)

    def _object(self) -> Node:
        pairs: list[tuple[str, Node]] = []
        while not self._is("}"):
            key = self._advance()
            if key.kind != "text":
                raise NotCovered
            self._expect(":")
            pairs.append((_unescape(key.text), self.expression(0)))
            if not self._is("}"):
                self._expect(",")
                if self._is("}"):
                    raise NotCovered
        self._advance()
        if len({name for name, _ in pairs}) != len(pairs):
            raise NotCovered
        return Object(tuple(pairs))

    def _block(self) -> Node:
        expressions: list[Node] = []
        while not self._is(")"):
            expressions.append(self.expression(0))
            if not self._is(")"):
                self._expect(";")
        self._advance()
        if not expressions:
            raise NotCovered
        return Block(tuple(expressions))

    def _lambda(self) -> Node:
        self._expect("(")
        parameters = self._list(")")
        names = tuple(one.name for one in parameters if isinstance(one, Variable))
        if len(names) != len(parameters) or len(set(names)) != len(names):
            raise NotCovered
        self._expect("{")
        body = self.expression(0)
        self._expect("}")
        return Lambda(names, body)

    def _infix(self, left: Node, operator: str, power: int) -> Node:
        if operator == ".":
            return _path(left, self.expression(power))
        if operator == "[":
            if self._is("]"):
                raise NotCovered
            predicate = self.expression(0)
            self._expect("]")
            return Filtered(left, predicate)
        if operator == "?":
            return self._conditional(left)
        if operator == ":=":
            if not isinstance(left, Variable) or left.name == "states":
                raise NotCovered
            return Bind(left.name, self.expression(power - 1))
        return Binary(operator, left, self.expression(power))

    def _conditional(self, condition: Node) -> Node:
        then = self.expression(0)
        if not self._is(":"):
            return Conditional(condition, then, None)
        self._advance()
        return Conditional(condition, then, self.expression(0))


def _path(left: Node, right: Node) -> Node:
    predicates: list[Node] = []
    while isinstance(right, Filtered):
        predicates.insert(0, right.predicate)
        right = right.base
    if not isinstance(right, Name) or isinstance(left, Literal):
        raise NotCovered
    step = (right.name, tuple(predicates))
    if isinstance(left, PathNode):
        return PathNode(left.base, (*left.steps, step))
    if isinstance(left, Name):
        return PathNode(Context(), ((left.name, ()), step))
    return PathNode(left, (step,))


def _number(text: str) -> int | float:
    value = float(text)
    if value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if abs(value) > 2**53:
        raise NotCovered
    return value


def _unescape(literal: str) -> str:
    body = literal[1:-1]
    if "\\" not in body:
        return body
    if "\\'" in body:
        raise NotCovered
    try:
        return str(parse_json('"' + body.replace('"', '\\"').replace('\\\\"', '\\"') + '"'))
    except ValueError:
        raise NotCovered from None
