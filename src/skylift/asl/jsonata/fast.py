"""The fast path: a parsed expression to closures over (scope, locals), without copying a value.

Locals are a dictionary of the names bound inside the expression; `$` holds the item a predicate looks at and `#` what
is left of the steps that loops may take.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from skylift.asl.jsonata import parser as p
from skylift.asl.jsonata.functions import FUNCTIONS
from skylift.asl.jsonata.library import FUNCTION_NAMES, NOTHING, JsonataError, evaluators, event_steps, states_object
from skylift.asl.jsonata.names import MEMBERS
from skylift.asl.jsonata.tokens import Token
from skylift.asl.jsonata.values import Fallback, field, is_number, number, same, text, truth, unwrap
from skylift.asl.scope import Scope

Locals = dict[str, Any]
Code = Callable[[Scope, Locals], Any]

MOST_STEPS = 2_000_000
MOST_RANGE = 1_000_000
TEXT_STEP = 64
"""Characters that are made in about the time of a step."""


def compile_fast(tokens: list[Token]) -> Callable[[Scope], Any]:
    """Raises NotCovered. The closure raises Fallback (or RecursionError) where the library must answer."""
    code = _Compiler().compile(p.parse(tokens), _Names({}, False))
    return lambda scope: code(scope, {"#": event_steps() if evaluators else [MOST_STEPS]})


class _Names:
    """What is bound where the compiler stands: names, the functions among them with their arity, and `$`."""

    __slots__ = ("bound", "context")

    def __init__(self, bound: dict[str, int | None], context: bool) -> None:
        self.bound = bound
        self.context = context

    def inner(self, *names: str) -> _Names:
        return _Names({**self.bound, **dict.fromkeys(names)}, self.context)


class _Compiler:
    def compile(self, node: p.Node, names: _Names) -> Code:
        match node:
            case p.Literal(value):
                return lambda scope, local: value
            case p.Variable(name):
                return _variable(name, names)
            case p.Context():
                return _context(names)
            case p.Name(name):
                return _path(_context(names), (name,))
            case p.PathNode(base, steps):
                return self._steps(base, steps, names)
            case p.Filtered(base, predicate):
                return self._filtered(self.compile(base, names), predicate, names)
            case p.Binary(symbol, left, right):
                return self._binary(symbol, left, right, names)
            case p.Negative(operand):
                return _negative(self.compile(operand, names))
            case p.Conditional():
                return self._conditional(node, names)
            case p.Array(items):
                return self._array(items, names)
            case p.Object(pairs):
                return _object([(key, self.compile(value, names)) for key, value in pairs])
            case p.Block(expressions):
                return self._block(expressions, names)
            case p.Bind():
                return self._block((node,), names)
            case p.Call(name, arguments):
                return self._call(name, arguments, names)
        raise p.NotCovered

    def _steps(self, base: p.Node, steps: tuple[tuple[str, tuple[p.Node, ...]], ...], names: _Names) -> Code:
        if base == p.Variable("states") and steps[0][0] in MEMBERS and not steps[0][1]:
            code, steps = _MEMBER[steps[0][0]], steps[1:]
        else:
            code = self.compile(base, names)
        plain: list[str] = []
        for name, predicates in steps:
            if not predicates:
                plain.append(name)
                continue
            code = _path(code, tuple(plain))
            plain = []
            code = _single_field(code, name)
            for predicate in predicates:
                code = self._filtered(code, predicate, names)
        return _path(code, tuple(plain))

    def _filtered(self, base: Code, predicate: p.Node, names: _Names) -> Code:
        if isinstance(predicate, p.Literal) and is_number(predicate.value):
            return _at(base, math.floor(predicate.value))
        if not _looks(predicate):
            return _chosen(base, self.compile(predicate, names))
        return _filter(base, self.compile(predicate, _Names(names.bound, True)))

    def _binary(self, symbol: str, left: p.Node, right: p.Node, names: _Names) -> Code:
        if symbol == "..":
            raise p.NotCovered
        return _BINARY[symbol](self.compile(left, names), self.compile(right, names))

    def _conditional(self, node: p.Conditional, names: _Names) -> Code:
        condition, then = self.compile(node.condition, names), self.compile(node.then, names)
        if node.otherwise is None:
            return lambda scope, local: then(scope, local) if truth(condition(scope, local)) else NOTHING
        otherwise = self.compile(node.otherwise, names)
        return lambda scope, local: then(scope, local) if truth(condition(scope, local)) else otherwise(scope, local)

    def _array(self, items: tuple[p.Node, ...], names: _Names) -> Code:
        parts: list[tuple[bool, Code]] = []
        for item in items:
            if isinstance(item, p.Binary) and item.operator == "..":
                parts.append((False, _range(self.compile(item.left, names), self.compile(item.right, names))))
            else:
                parts.append((isinstance(item, p.Array), self.compile(item, names)))
        return _array(parts)

    def _block(self, expressions: tuple[p.Node, ...], names: _Names) -> Code:
        inner = names.inner()
        codes = [self._statement(expression, inner) for expression in expressions]
        binds = any(isinstance(expression, p.Bind) for expression in expressions)
        if len(codes) == 1 and not binds:
            return codes[0]

        def block(scope: Scope, local: Locals) -> Any:
            if binds:
                local = local.copy()
            value: Any = NOTHING
            for code in codes:
                value = code(scope, local)
            return value

        return block

    def _statement(self, node: p.Node, names: _Names) -> Code:
        if not isinstance(node, p.Bind):
            return self.compile(node, names)
        name = node.name
        if name in FUNCTION_NAMES:
            raise p.NotCovered
        if isinstance(node.value, p.Lambda):
            return self._bind_function(name, node.value, names)
        code = self.compile(node.value, names)
        names.bound[name] = None

        def bind(scope: Scope, local: Locals) -> Any:
            local[name] = value = code(scope, local)
            return value

        return bind

    def _bind_function(self, name: str, node: p.Lambda, names: _Names) -> Code:
        names.bound[name] = len(node.parameters)
        make = self._lambda(node, names)

        def bind(scope: Scope, local: Locals) -> Any:
            local[name] = make(scope, local)
            return NOTHING

        return bind

    def _lambda(self, node: p.Lambda, names: _Names) -> Callable[[Scope, Locals], Callable[..., Any]]:
        body, parameters = self.compile(node.body, names.inner(*node.parameters)), node.parameters

        def make(scope: Scope, local: Locals) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                _spend(local, 1)
                inner = local.copy()
                for index, name in enumerate(parameters):
                    inner[name] = arguments[index] if index < len(arguments) else NOTHING
                return body(scope, inner)

            return call

        return make

    def _function(self, node: p.Node, names: _Names) -> tuple[Callable[[Scope, Locals], Callable[..., Any]], int]:
        if isinstance(node, p.Lambda):
            return self._lambda(node, names), len(node.parameters)
        if isinstance(node, p.Variable):
            arity, name = names.bound.get(node.name), node.name
            if arity is not None:
                return lambda scope, local: _of_local(local, name), arity
        raise p.NotCovered

    def _call(self, name: str, arguments: tuple[p.Node, ...], names: _Names) -> Code:
        if name in names.bound:
            return self._call_local(name, arguments, names)
        if name in _LOOPS and len(arguments) >= 2:
            return self._loop(name, arguments, names)
        found = FUNCTIONS.get(name)
        if found is None or not found[1] <= len(arguments) <= found[2]:
            raise p.NotCovered
        return _apply(found[0], [self.compile(argument, names) for argument in arguments])

    def _call_local(self, name: str, arguments: tuple[p.Node, ...], names: _Names) -> Code:
        if names.bound[name] != len(arguments):
            raise p.NotCovered
        codes = [self.compile(argument, names) for argument in arguments]

        def call(scope: Scope, local: Locals) -> Any:
            return _of_local(local, name)(*[code(scope, local) for code in codes])

        return call

    def _loop(self, name: str, arguments: tuple[p.Node, ...], names: _Names) -> Code:
        items = self.compile(arguments[0], names)
        function, arity = self._function(arguments[1], names)
        if name == "reduce":
            if arity != 2 or len(arguments) > 3:
                raise p.NotCovered
            first = self.compile(arguments[2], names) if len(arguments) == 3 else None
            return _reduce(items, function, first)
        if len(arguments) != 2 or not 1 <= arity <= 3:
            raise p.NotCovered
        return _map(items, function, arity) if name == "map" else _keep(items, function, arity)


def _of_local(local: Locals, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = local[name]
    return function


def _looks(node: p.Node) -> bool:
    """Whether an expression looks at the item around it."""
    if isinstance(node, p.Context | p.Name):
        return True
    if isinstance(node, p.PathNode) and isinstance(node.base, p.Context):
        return True
    return any(_looks(child) for child in _children(node))


def _children(node: p.Node) -> list[p.Node]:
    match node:
        case p.Filtered(base, _):
            return [base, node.predicate]
        case p.PathNode(base, steps):
            return [base, *[one for _, predicates in steps for one in predicates]]
        case p.Binary(_, left, right):
            return [left, right]
        case p.Negative(operand):
            return [operand]
        case p.Conditional(condition, then, otherwise):
            return [condition, then, *([] if otherwise is None else [otherwise])]
        case p.Array(items) | p.Block(items) | p.Call(_, items):
            return list(items)
        case p.Object(pairs):
            return [value for _, value in pairs]
        case p.Bind(_, value) | p.Lambda(_, value):
            return [value]
    return []


def _variable(name: str, names: _Names) -> Code:
    if name in names.bound:
        if names.bound[name] is not None:
            raise p.NotCovered
        return lambda scope, local: local[name]
    if name == "states":
        every = frozenset(MEMBERS)
        return lambda scope, local: states_object(scope, every)
    if name in FUNCTION_NAMES:
        return _perhaps_function(name)

    def read(scope: Scope, local: Locals) -> Any:
        try:
            return scope.variables[name]
        except KeyError:
            return NOTHING

    return read


def _perhaps_function(name: str) -> Code:
    def read(scope: Scope, local: Locals) -> Any:
        if name in scope.variables:
            return scope.variables[name]
        raise Fallback

    return read


def _context(names: _Names) -> Code:
    if not names.context:
        raise p.NotCovered
    return lambda scope, local: local["$"]


_MEMBER: dict[str, Code] = {
    "input": lambda scope, local: scope.input,
    "result": lambda scope, local: NOTHING if scope.result is UNSET else scope.result,
    "errorOutput": lambda scope, local: NOTHING if scope.error_output is UNSET else scope.error_output,
    "context": lambda scope, local: scope.context(),
}


def _path(base: Code, steps: tuple[str, ...]) -> Code:
    if not steps:
        return base
    if len(steps) == 1:
        (only,) = steps

        def one(scope: Scope, local: Locals) -> Any:
            value = base(scope, local)
            return value.get(only, NOTHING) if value.__class__ is dict else field(value, only)

        return one

    def many(scope: Scope, local: Locals) -> Any:
        value = base(scope, local)
        for name in steps:
            value = value.get(name, NOTHING) if value.__class__ is dict else field(value, name)
        return value

    return many


def _single_field(base: Code, name: str) -> Code:
    """A step with predicates: they apply to the field of each parent, so several parents are the library's."""

    def read(scope: Scope, local: Locals) -> Any:
        value = base(scope, local)
        if value.__class__ is dict:
            return value.get(name, NOTHING)
        if value.__class__ is list:
            raise Fallback
        return NOTHING

    return read


def _pick(items: list[Any], index: int) -> Any:
    return items[index] if -len(items) <= index < len(items) else NOTHING


def _at(base: Code, index: int) -> Code:
    def at(scope: Scope, local: Locals) -> Any:
        value = base(scope, local)
        if value.__class__ is list:
            return _pick(value, index)
        return value if index in (0, -1) else NOTHING

    return at


def _chosen(base: Code, predicate: Code) -> Code:
    """A predicate that does not look at the items: an index, or all or nothing."""

    def chosen(scope: Scope, local: Locals) -> Any:
        value = base(scope, local)
        wanted = predicate(scope, local)
        if value is NOTHING:
            return NOTHING
        items = value if value.__class__ is list else [value]
        if is_number(wanted):
            return _pick(items, math.floor(wanted))
        if wanted.__class__ is list:
            raise Fallback
        if not truth(wanted):
            return NOTHING
        if any(item.__class__ is list for item in items):
            raise Fallback
        return unwrap(items)

    return chosen


def _filter(base: Code, predicate: Code) -> Code:
    def chosen(scope: Scope, local: Locals) -> Any:
        value = base(scope, local)
        if value is NOTHING:
            raise Fallback
        items = value if value.__class__ is list else [value]
        _spend(local, len(items))
        inner = local.copy()
        kept: list[Any] = []
        for index, item in enumerate(items):
            inner["$"] = item
            wanted = predicate(scope, inner)
            if wanted.__class__ is list:
                raise Fallback
            if is_number(wanted):
                at = math.floor(wanted)
                wanted = index == (at if at >= 0 else at + len(items))
            if truth(wanted):
                if item.__class__ is list:
                    raise Fallback
                kept.append(item)
        return unwrap(kept)

    return chosen


def _spend(local: Locals, steps: int) -> None:
    """All loops of an evaluation together are bounded."""
    left = local["#"]
    left[0] -= steps
    if left[0] < 0:
        if evaluators:
            raise Fallback
        raise JsonataError(f"D1012: The expression takes more than {MOST_STEPS} steps")


def _arithmetic(compute: Callable[[Any, Any], Any]) -> Callable[[Code, Code], Code]:
    def make(left: Code, right: Code) -> Code:
        def run(scope: Scope, local: Locals) -> Any:
            one, two = left(scope, local), right(scope, local)
            if one.__class__ is int and two.__class__ is int:
                return number(compute(one, two))
            if (one is NOTHING or is_number(one)) and (two is NOTHING or is_number(two)):
                return NOTHING if one is NOTHING or two is NOTHING else number(compute(one, two))
            raise Fallback

        return run

    return make


def _divide(left: Any, right: Any) -> Any:
    if right == 0:
        raise Fallback
    return left / right


def _remainder(left: Any, right: Any) -> Any:
    if right == 0:
        raise Fallback
    return math.fmod(left, right)


def _negative(operand: Code) -> Code:
    def run(scope: Scope, local: Locals) -> Any:
        value = operand(scope, local)
        if value is NOTHING:
            return NOTHING
        if not is_number(value):
            raise Fallback
        return number(-value)

    return run


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Code, Code], Code]:
    def make(left: Code, right: Code) -> Code:
        def run(scope: Scope, local: Locals) -> Any:
            one, two = left(scope, local), right(scope, local)
            if is_number(one) and is_number(two):
                return test(one, two)
            if one.__class__ is str and two.__class__ is str and one.isascii() and two.isascii():
                return test(one, two)
            if one is NOTHING and two is NOTHING:
                return NOTHING
            raise Fallback

        return run

    return make


def _equality(wanted: bool) -> Callable[[Code, Code], Code]:
    def make(left: Code, right: Code) -> Code:
        def run(scope: Scope, local: Locals) -> Any:
            one, two = left(scope, local), right(scope, local)
            if one is NOTHING or two is NOTHING:
                return False
            return same(one, two) is wanted

        return run

    return make


def _both(left: Code, right: Code) -> Code:
    return lambda scope, local: truth(left(scope, local)) and truth(right(scope, local))


def _either(left: Code, right: Code) -> Code:
    return lambda scope, local: truth(left(scope, local)) or truth(right(scope, local))


def _among(left: Code, right: Code) -> Code:
    def run(scope: Scope, local: Locals) -> Any:
        one, many = left(scope, local), right(scope, local)
        if one is NOTHING or many is NOTHING:
            return False
        if one.__class__ is list or one.__class__ is dict:
            raise Fallback
        items = many if many.__class__ is list else [many]
        _spend(local, len(items))
        return any(same(one, item) for item in items)

    return run


def _concatenate(left: Code, right: Code) -> Code:
    def run(scope: Scope, local: Locals) -> Any:
        one, two = left(scope, local), right(scope, local)
        joined = ("" if one is NOTHING else text(one)) + ("" if two is NOTHING else text(two))
        if len(joined) > TEXT_STEP:
            _spend(local, len(joined) // TEXT_STEP)
        return joined

    return run


_BINARY: dict[str, Callable[[Code, Code], Code]] = {
    "+": _arithmetic(operator.add),
    "-": _arithmetic(operator.sub),
    "*": _arithmetic(operator.mul),
    "/": _arithmetic(_divide),
    "%": _arithmetic(_remainder),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "=": _equality(True),
    "!=": _equality(False),
    "and": _both,
    "or": _either,
    "in": _among,
    "&": _concatenate,
}


def _range(left: Code, right: Code) -> Code:
    def run(scope: Scope, local: Locals) -> Any:
        first, last = left(scope, local), right(scope, local)
        if first is NOTHING or last is NOTHING:
            return NOTHING
        if first.__class__ is not int or last.__class__ is not int or last - first >= MOST_RANGE:
            raise Fallback
        _spend(local, max(0, last - first))
        return list(range(first, last + 1))

    return run


def _array(parts: list[tuple[bool, Code]]) -> Code:
    def run(scope: Scope, local: Locals) -> Any:
        built: list[Any] = []
        for whole, code in parts:
            value = code(scope, local)
            if value is NOTHING:
                continue
            if whole or value.__class__ is not list:
                built.append(value)
            else:
                built.extend(value)
                _spend(local, len(value))
        return built

    return run


def _object(pairs: list[tuple[str, Code]]) -> Code:
    def run(scope: Scope, local: Locals) -> Any:
        built: dict[str, Any] = {}
        for key, code in pairs:
            value = code(scope, local)
            if value is not NOTHING:
                built[key] = value
        return built

    return run


def _apply(function: Callable[..., Any], codes: list[Code]) -> Code:
    if len(codes) == 1:
        (only,) = codes

        def one(scope: Scope, local: Locals) -> Any:
            return _counted(function(_counted(only(scope, local), local)), local)

        return one

    def many(scope: Scope, local: Locals) -> Any:
        return _counted(function(*[_counted(code(scope, local), local) for code in codes]), local)

    return many


def _counted(value: Any, local: Locals) -> Any:
    """What goes into a function or comes out of it counts by its length."""
    if value.__class__ is list:
        _spend(local, len(value))
    elif value.__class__ is str and len(value) > TEXT_STEP:
        _spend(local, len(value) // TEXT_STEP)
    return value


Make = Callable[[Scope, Locals], Callable[..., Any]]


def _items(code: Code, scope: Scope, local: Locals) -> list[Any] | None:
    value = code(scope, local)
    if value is NOTHING:
        return None
    if value.__class__ is not list:
        raise Fallback
    items: list[Any] = value
    _spend(local, len(items))
    return items


def _map(code: Code, make: Make, arity: int) -> Code:
    def run(scope: Scope, local: Locals) -> Any:
        items = _items(code, scope, local)
        if items is None:
            return NOTHING
        function = make(scope, local)
        found = [function(*(item, index, items)[:arity]) for index, item in enumerate(items)]
        return unwrap([value for value in found if value is not NOTHING])

    return run


def _keep(code: Code, make: Make, arity: int) -> Code:
    def run(scope: Scope, local: Locals) -> Any:
        items = _items(code, scope, local)
        if items is None:
            return NOTHING
        function = make(scope, local)
        return unwrap([item for index, item in enumerate(items) if truth(function(*(item, index, items)[:arity]))])

    return run


def _reduce(code: Code, make: Make, first: Code | None) -> Code:
    def run(scope: Scope, local: Locals) -> Any:
        items = _items(code, scope, local)
        total = NOTHING if first is None else first(scope, local)
        if items is None:
            return NOTHING
        function = make(scope, local)
        if total is NOTHING:
            if not items:
                return NOTHING
            total, items = items[0], items[1:]
        for item in items:
            total = function(total, item)
        return total

    return run


_LOOPS = ("map", "filter", "reduce")
