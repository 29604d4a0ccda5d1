"""Python's operators on compiled values: simple JSONata where the types are known, helpers that check where not."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.exact import LIMIT, bound_of, checked, may_be_whole, small_enough
from skylift.sdk.compiler.refuse import IN_A_TASK, Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.types import NUMBERS, Type
from skylift.sdk.compiler.value import MAX_INTEGER, Value, constant, display, list_code, text

_SYMBOLS: dict[type, str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "** or pow()",
}
_FOLD: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_ZERO = {"/": "division by zero", "//": "integer division or modulo by zero", "%": "integer modulo by zero"}


def binary(body: Body, node: ast.AST, op: ast.operator, left: Value, right: Value) -> Value:
    """`left op right`."""
    symbol = _SYMBOLS.get(type(op))
    if symbol is None:
        raise Refusal(node, f"the operator {type(op).__name__} is not supported", IN_A_TASK)
    _refuse_opaque(node, left, right)
    body.inspect(left)
    body.inspect(right)
    folded = _fold(op, left, right)
    if folded is not None:
        return folded
    if isinstance(op, ast.Mod) and left.type.may("str") and not left.type.unknown:
        raise Refusal(node, "text formatting with % is not supported", "use an f-string")
    if isinstance(op, ast.Add):
        return _add(body, node, left, right)
    if isinstance(op, ast.Mult):
        return _multiply(body, left, right)
    return _arithmetic(body, node, op, symbol, left, right)


def unary(body: Body, node: ast.UnaryOp, value: Value) -> Value:
    _refuse_opaque(node, value)
    body.inspect(value)
    if isinstance(node.op, ast.Not):
        return Value(code=f"$not({truth(body, node, value)})", type=t.BOOL)
    if isinstance(node.op, ast.Invert):
        raise Refusal(node, "~ is not supported", IN_A_TASK)
    if value.is_constant and isinstance(value.constant, (bool, int, float)):
        return constant(-value.constant if isinstance(node.op, ast.USub) else +value.constant)
    sign = "-" if isinstance(node.op, ast.USub) else "+"
    if not value.type.only(*NUMBERS):
        body.problem(f'$PYUNARY_P({value.code}, "unary {sign}")', "TypeError")
    number = as_number(value)
    type_ = _number_type(value.type)
    code = f"-{number}" if sign == "-" else number
    return Value(code=code, type=type_, simple=sign == "+", bound=bound_of(value))


def truth(body: Body, node: ast.AST, value: Value) -> str:
    """JSONata for `bool(value)`, an operand."""
    _refuse_opaque(node, value, why="the truth of")
    body.inspect(value)
    kind = value.type
    if value.is_constant:
        return "true" if value.constant else "false"
    if kind.only("bool"):
        return value.operand
    if kind.only("none"):
        return "false"
    if kind.only("int", "float"):
        return f"({value.operand} != 0)"
    if kind.only("str"):
        return f'({value.operand} != "")'
    if kind.only("list"):
        return f"($count({value.code}) > 0)"
    data = kind.kind("data")
    if data is not None and t.has_own_truth(data.cls):
        raise Refusal(node, f"{data.cls.__name__} defines its own truth", "compare a field instead")
    if kind.only("data", "error"):
        return "true"
    if kind.only("data", "none"):
        return f"({value.operand} != null)"
    if kind.unknown:
        body.problem(f"$PYBOOL_P({value.code})", "TypeError")
    return f"$PYBOOL({value.code})"


def compare(body: Body, node: ast.AST, op: ast.cmpop, left: Value, right: Value) -> str:
    """JSONata for one comparison, an operand that gives a boolean."""
    if isinstance(op, (ast.Is, ast.IsNot)):
        return _identity(body, node, isinstance(op, ast.IsNot), left, right)
    _refuse_opaque(node, left, right)
    if isinstance(op, (ast.Eq, ast.NotEq)):
        code = _equal(body, node, left, right)
        return f"$not({code})" if isinstance(op, ast.NotEq) else code
    if isinstance(op, (ast.In, ast.NotIn)):
        code = contains(body, node, left, right)
        return f"$not({code})" if isinstance(op, ast.NotIn) else code
    return _order(body, node, op, left, right)


def as_number(value: Value) -> str:
    """The value as a number operand: True counts as 1."""
    if value.is_constant and isinstance(value.constant, bool):
        return "1" if value.constant else "0"
    if value.type.only("int", "float"):
        return value.operand
    if value.type.only("bool"):
        return f"({value.operand} ? 1 : 0)"
    return f"$PYNUM({value.code})"


def contains(body: Body, node: ast.AST, item: Value, container: Value) -> str:
    body.inspect(container)
    body.inspect(item)
    kind = container.type
    if container.parts is not None and container.keys is None:
        tests = [_equal(body, node, item, part) for part in container.parts]
        return f"({' or '.join(tests)})" if tests else "false"
    if kind.only("str"):
        _require(body, node, item, "str", "'in <string>' requires string as left operand")
        return f"$contains({container.code}, {item.code})"
    if kind.only("dict"):
        _require_key(body, node, item)
        return f"$exists($lookup({container.code}, {item.code}))"
    if kind.only("list", "tuple"):
        items = elements(container)
        if item.type.only("str") or (item.type.only("int", "float") and not kind.element().may("bool")):
            return f"({item.operand} in {items})"
        return f"$PYIN({item.code}, {items})"
    message = text("argument of this type is not iterable")
    body.problem(
        f'($PYTYPE({container.code}) in ["list", "tuple", "dict"] or ($type({container.code}) = "string" and '
        f'$type({item.code}) = "string")) ? null : {error("TypeError", message)}',
        "TypeError",
    )
    return f"$PYCONTAINS({container.code}, {item.code})"


def elements(value: Value) -> str:
    """JSONata for the array of what iterating gives, for values known to be list, tuple, dict or str."""
    kind = value.type
    if value.parts is not None and value.keys is None:
        return list_code(list(value.parts))
    if kind.only("list"):
        return value.operand
    if kind.only("tuple"):
        return f"{value.operand}.items"
    if kind.only("dict"):
        return f"[$keys({value.code})]"
    return f"$PYITEMS({value.code})"


def _add(body: Body, node: ast.AST, left: Value, right: Value) -> Value:
    kinds = t.union(left.type, right.type)
    if kinds.only(*NUMBERS):
        return _plus_minus("+", left, right)
    if kinds.only("str"):
        return Value(code=f"{left.operand} & {right.operand}", type=t.STR, simple=False)
    if left.type.only("list") and right.type.only("list"):
        return Value(code=f"$append({left.code}, {right.code})", type=kinds, sources=left.sources | right.sources)
    if left.parts is not None and right.parts is not None and left.type.only("tuple") and right.type.only("tuple"):
        return display([*left.parts, *right.parts], is_tuple=True)
    body.problem(f"$PYADD_P({left.code}, {right.code})", "TypeError")
    type_ = t.BOTTOM if not (left.type.kinds and right.type.kinds) else _added(left.type, right.type)
    return Value(code=f"$PYADD({left.code}, {right.code})", type=type_, sources=left.sources | right.sources)


def _added(left: Type, right: Type) -> Type:
    if left.unknown or right.unknown:
        known = left if right.unknown else right
        return known if known.only("str") else t.ANY
    if t.union(left, right).only("none", *NUMBERS):
        return _number_type(t.union(left, right).without("none"))
    return t.ANY if t.union(left, right).may("tuple") else t.union(left, right)


def _multiply(body: Body, left: Value, right: Value) -> Value:
    kinds = t.union(left.type, right.type)
    if kinds.only(*NUMBERS):
        return _times(left, right)
    body.problem(f"$PYMUL_P({left.code}, {right.code})", "TypeError")
    if not (left.type.kinds and right.type.kinds):
        type_ = t.BOTTOM
    else:
        type_ = t.ANY if kinds.unknown or kinds.may("tuple") else kinds.without("none")
        if type_.only(*NUMBERS):
            type_ = _number_type(type_)
        elif type_.only("str", *NUMBERS) and (left.type.only("str") or right.type.only("str")):
            type_ = t.STR
        elif left.type.only("list") or right.type.only("list"):
            type_ = left.type if left.type.only("list") else right.type
    return Value(code=f"$PYMUL({left.code}, {right.code})", type=type_, sources=left.sources | right.sources)


def _arithmetic(body: Body, node: ast.AST, op: ast.operator, symbol: str, left: Value, right: Value) -> Value:
    if not t.union(left.type, right.type).only(*NUMBERS):
        body.problem(f"$PYARITH_P({left.code}, {right.code}, {text(symbol)})", "TypeError")
    a, b = as_number(left), as_number(right)
    if isinstance(op, ast.Sub):
        return _plus_minus("-", left, right)
    if isinstance(op, ast.Pow):
        return _power(body, node, left, right)
    if not (right.is_constant and right.constant):
        body.problem(f"$PYZERO_P({b}, {text(_ZERO[symbol])})", "ZeroDivisionError")
    if isinstance(op, ast.Div):
        return Value(code=f"{a} / {b}", type=t.FLOAT, simple=False)
    if isinstance(op, ast.Mod):
        return Value(code=f"$PYMOD({_whole(left)}, {_whole(right)})", type=_result(left, right), bound=bound_of(right))
    if t.union(left.type, right.type).only("int", "bool"):
        return Value(code=f"$floor({_whole(left)} / {b})", type=t.INT, bound=bound_of(left))
    return Value(code=f"$PYFLOORDIV({a}, {b})", type=_result(left, right))


def _plus_minus(sign: str, left: Value, right: Value) -> Value:
    """Of numbers, and exact: both operands are small enough, or are checked."""
    type_, a, b = _result(left, right), as_number(left), as_number(right)
    if not may_be_whole(left, right):
        return Value(code=f"{a} {sign} {b}", type=type_, simple=False)
    first, second = bound_of(left), bound_of(right)
    if small_enough(first) and small_enough(second):
        assert first is not None
        assert second is not None
        return Value(code=f"{a} {sign} {b}", type=type_, simple=False, bound=first + second)
    if small_enough(first) or small_enough(second):
        return Value(code=checked(f"{a} {sign} {b}"), type=type_, bound=LIMIT)
    return Value(code=f"{checked(a)} {sign} {checked(b)}", type=type_, simple=False, bound=2 * LIMIT)


def _times(left: Value, right: Value) -> Value:
    type_, code = _result(left, right), f"{as_number(left)} * {as_number(right)}"
    if not may_be_whole(left, right):
        return Value(code=code, type=type_, simple=False)
    first, second = bound_of(left), bound_of(right)
    if first is not None and second is not None and first * second <= LIMIT:
        return Value(code=code, type=type_, simple=False, bound=first * second)
    return Value(code=checked(code), type=type_, bound=LIMIT)


def _whole(value: Value) -> str:
    number = as_number(value)
    return checked(number) if may_be_whole(value) and not small_enough(bound_of(value)) else number


def _power(body: Body, node: ast.AST, left: Value, right: Value) -> Value:
    if not (right.is_constant and isinstance(right.constant, int) and right.constant >= 0):
        raise Refusal(node, "** needs a constant whole exponent of 0 or more", IN_A_TASK)
    if not left.type.only("int", "bool") and right.constant > 2:
        raise Refusal(node, "powers of floats are not exact in a graph", IN_A_TASK)
    code = f"$power({as_number(left)}, {right.constant})"
    return Value(code=checked(code) if may_be_whole(left) else code, type=_result(left, right))


def _equal(body: Body, node: ast.AST, left: Value, right: Value) -> str:
    body.inspect(left)
    body.inspect(right)
    a, b = left.type, right.type
    if a.only("int", "float", "str", "none") and not b.may("bool"):
        return f"({left.operand} = {right.operand})"
    if b.only("int", "float", "str", "none") and not a.may("bool"):
        return f"({left.operand} = {right.operand})"
    if a.only("str", "none") or b.only("str", "none"):
        return f"({left.operand} = {right.operand})"
    if a.only("bool") and b.only("bool"):
        return f"({left.operand} = {right.operand})"
    if a.only(*NUMBERS) and b.only(*NUMBERS):
        return f"({as_number(left)} = {as_number(right)})"
    for one in (a, b):
        data = one.kind("data")
        if data is not None and "__eq__" in vars(data.cls) and not _generated_eq(data.cls):
            raise Refusal(node, f"{data.cls.__name__} defines its own ==", "compare a field instead")
    return f"$PYEQ({left.code}, {right.code})"


def _generated_eq(cls: Any) -> bool:
    import dataclasses

    return dataclasses.is_dataclass(cls) or hasattr(cls, "_fields") or hasattr(cls, "__struct_fields__")


def _identity(body: Body, node: ast.AST, negated: bool, left: Value, right: Value) -> str:
    sign = "!=" if negated else "="
    for one, other in ((left, right), (right, left)):
        if one.is_constant and one.constant is None:
            if not other.type.may("none"):
                return "true" if negated else "false"
            return f"({other.operand} {sign} null)"
        if one.is_constant and isinstance(one.constant, bool):
            body.inspect(other)
            return f"({other.operand} {sign} {one.code})"
    raise Refusal(node, "`is` compares identity, which values in a graph do not have", "use == (or `is None`)")


def _order(body: Body, node: ast.AST, op: ast.cmpop, left: Value, right: Value) -> str:
    symbol = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}[type(op)]
    body.inspect(left)
    body.inspect(right)
    both = t.union(left.type, right.type)
    for one in (left.type, right.type):
        if one.may("list", "tuple", "data", "dict") and not one.unknown and one.only("list", "tuple", "data", "dict"):
            raise Refusal(node, f"a graph cannot order values of type {one}", "compare their elements or fields")
    if both.only("str"):
        return f"({left.operand} {symbol} {right.operand})"
    if not (left.type.only(*NUMBERS) and right.type.only(*NUMBERS)):
        body.problem(f"$PYORDER_P({left.code}, {right.code}, {text(symbol)})", "TypeError", "NotImplementedError")
        if left.type.may("bool") or right.type.may("bool"):
            return f"($PYNUM({left.code}) {symbol} $PYNUM({right.code}))"
        return f"({left.operand} {symbol} {right.operand})"
    return f"({as_number(left)} {symbol} {as_number(right)})"


def _require(body: Body, node: ast.AST, value: Value, kind: str, message: str) -> None:
    if not value.type.only(kind):
        json_type = {"str": "string", "list": "array", "dict": "object"}[kind]
        body.problem(f'$type({value.code}) = "{json_type}" ? null : {error("TypeError", text(message))}', "TypeError")


def require(body: Body, node: ast.AST, value: Value, kind: str, message: str) -> None:
    """A TypeError unless the value is a `str`, `list` or `dict`."""
    _require(body, node, value, kind, message)


def _require_key(body: Body, node: ast.AST, value: Value) -> None:
    if value.type.kinds and not value.type.may("str"):
        raise Refusal(node, f"keys of a dict in a graph are text, this one is {value.type}", "use str keys")
    _require(body, node, value, "str", "keys of a dict in a graph are text")


def require_key(body: Body, node: ast.AST, value: Value) -> None:
    """Dicts of a graph are JSON objects: keys are text."""
    _require_key(body, node, value)


def _fold(op: ast.operator, left: Value, right: Value) -> Value | None:
    if not (left.is_constant and right.is_constant):
        return None
    a, b = left.constant, right.constant
    if not (isinstance(a, (bool, int, float)) and isinstance(b, (bool, int, float))):
        return None
    if isinstance(op, ast.Pow) and (abs(b) > 64 or abs(a) > MAX_INTEGER):
        return None
    try:
        result = _FOLD[type(op)](a, b)
    except (ArithmeticError, ValueError):
        return None
    if isinstance(result, complex) or (isinstance(result, int) and abs(result) > MAX_INTEGER):
        return None
    return constant(result)


def _result(left: Value, right: Value) -> Type:
    if not (left.type.kinds and right.type.kinds):
        return t.BOTTOM
    if left.type.only("float") or right.type.only("float"):
        return t.FLOAT
    return _number_type(t.union(left.type, right.type).without("none"))


def _number_type(kind: Type) -> Type:
    if not kind.kinds:
        return t.BOTTOM
    if kind.only("bool", "int"):
        return t.INT
    return t.FLOAT if kind.only("float") else t.NUMBER


def _refuse_opaque(node: ast.AST, *values: Value, why: str = "inside") -> None:
    for value in values:
        kind = value.type.kind("opaque")
        if kind is not None:
            name = getattr(kind.cls, "__name__", "this type")
            raise Refusal(node, f"the graph cannot look {why} a {name}: it has no JSON form", IN_A_TASK)
        if value.type.kind("error") is not None and why == "inside":
            raise Refusal(node, "an exception has no value in a graph", "use str(error)")


refuse_opaque = _refuse_opaque
