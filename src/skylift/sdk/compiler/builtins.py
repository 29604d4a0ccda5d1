"""Python's builtin functions over single values: sizes, numbers, conversions, isinstance."""

from __future__ import annotations

import ast
import builtins

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.conditions import condition
from skylift.sdk.compiler.dispatch import builtin, expr
from skylift.sdk.compiler.exact import COUNTED
from skylift.sdk.compiler.iteration import iterable
from skylift.sdk.compiler.refuse import IN_A_TASK, Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.texts import text_of
from skylift.sdk.compiler.value import Value, constant, dict_display, text

_JSON_TYPES = {str: "string", list: "array", dict: "object", bool: "boolean"}


@builtin(len)
def _len(body: Body, node: ast.Call) -> Value:
    value = _one(body, node)
    op.refuse_opaque(node, value)
    body.inspect(value)
    if value.parts is not None:
        return constant(len(value.parts))
    if value.type.only("list"):
        return Value(code=f"$count({value.code})", type=t.INT, bound=COUNTED)
    if value.type.only("str"):
        return Value(code=f"$length({value.code})", type=t.INT, bound=COUNTED)
    if value.type.only("tuple"):
        return Value(code=f"$count({value.operand}.items)", type=t.INT, bound=COUNTED)
    if value.type.only("dict"):
        return Value(code=f"$count($keys({value.code}))", type=t.INT, bound=COUNTED)
    if value.type.only("data"):
        raise Refusal(node, f"a graph cannot take the length of a {value.type}", IN_A_TASK)
    body.problem(f"$PYLEN_P({value.code})", "TypeError")
    return Value(code=f"$PYLEN({value.code})", type=t.INT, bound=COUNTED)


@builtin(abs)
def _abs(body: Body, node: ast.Call) -> Value:
    value = _number(body, node, "abs()")
    return Value(code=f"$abs({op.as_number(value)})", type=t.INT if value.type.only("int", "bool") else value.type)


@builtin(round)
def _round(body: Body, node: ast.Call) -> Value:
    if len(node.args) == 2 and not (isinstance(node.args[1], ast.Constant) and node.args[1].value is None):
        raise Refusal(
            node, "round to digits is not exact in a graph", "round inside a @task, or multiply and round to int"
        )
    value = _number(body, ast.Call(func=node.func, args=node.args[:1], keywords=[], lineno=node.lineno), "round()")
    return Value(code=f"$round({op.as_number(value)})", type=t.INT)


@builtin(int)
def _int(body: Body, node: ast.Call) -> Value:
    if not node.args:
        return constant(0)
    value = _one(body, node)
    op.refuse_opaque(node, value)
    body.inspect(value)
    if value.type.only(*t.NUMBERS):
        number = op.as_number(value)
        if value.type.only("int", "bool"):
            return Value(code=number, type=t.INT)
        return Value(code=f"({number} < 0 ? $ceil({number}) : $floor({number}))", type=t.INT)
    if value.type.only("str"):
        message = f'"invalid literal for int() with base 10: " & $PYREPR({value.code})'
        body.problem(f"$PYISINT({value.code}) ? null : {error('ValueError', message)}", "ValueError")
        return Value(code=f"$PYREADINT({value.code})", type=t.INT, bound=10**15)
    if not value.type.kinds:
        return Value(code="0", type=t.INT)
    raise Refusal(node, f"int() of a {value.type} is not supported", "annotate where it comes from, or use a @task")


@builtin(float)
def _float(body: Body, node: ast.Call) -> Value:
    if not node.args:
        return constant(0.0)
    value = _one(body, node)
    op.refuse_opaque(node, value)
    body.inspect(value)
    if value.type.only(*t.NUMBERS):
        return Value(code=op.as_number(value), type=t.FLOAT)
    if not value.type.kinds:
        return Value(code="0", type=t.FLOAT)
    if value.type.only("str"):
        raise Refusal(node, "reading a float from text is not exact in a graph", IN_A_TASK)
    raise Refusal(node, f"float() of a {value.type} is not supported", "annotate where it comes from, or use a @task")


@builtin(str)
def _str(body: Body, node: ast.Call) -> Value:
    if not node.args:
        return constant("")
    value = _one(body, node)
    if value.type.only("str"):
        return value
    return Value(code=text_of(body, node, value), type=t.STR)


@builtin(bool)
def _bool(body: Body, node: ast.Call) -> Value:
    if not node.args:
        return constant(False)
    if len(node.args) != 1 or node.keywords:
        raise Refusal(node, "bool takes one value", "write bool(value)")
    return Value(code=condition(body, node.args[0]), type=t.BOOL)


@builtin(list, tuple)
def _list(body: Body, node: ast.Call) -> Value:
    is_tuple = body.resolve(node.func) is tuple
    if len(node.args) > 1 or node.keywords:
        raise Refusal(node, "list and tuple take one iterable", "write list(values)")
    if not node.args:
        return constant(() if is_tuple else [])
    items = iterable(body, node.args[0])
    if not is_tuple:
        return Value(code=items.code, type=items.type, simple=items.simple, sources=items.sources)
    raise Refusal(node, "a tuple of unknown length is not supported", "use list(...)")


@builtin(dict)
def _dict(body: Body, node: ast.Call) -> Value:
    if any(keyword.arg is None for keyword in node.keywords) or len(node.args) > 1:
        raise Refusal(node, "dict takes a dict or keywords", "write {**a, **b}")
    named = dict_display(
        [keyword.arg for keyword in node.keywords if keyword.arg],
        [expr(body, keyword.value) for keyword in node.keywords],
    )
    if not node.args:
        return named
    value = expr(body, node.args[0])
    op.refuse_opaque(node, value)
    body.inspect(value)
    if not value.type.only("dict"):
        if not value.type.kinds:
            return value
        raise Refusal(
            node, f"dict() of a {value.type} is not supported", "write a dict comprehension: {k: v for k, v in ...}"
        )
    if not node.keywords:
        return Value(code=value.code, type=value.type, simple=value.simple, sources=value.sources)
    return Value(
        code=f"$merge([{value.code}, {named.code}])",
        type=t.union(value.type, named.type),
        sources=value.sources | named.sources,
    )


@builtin(isinstance)
def _isinstance(body: Body, node: ast.Call) -> Value:
    if len(node.args) != 2 or node.keywords:
        raise Refusal(node, "isinstance takes a value and a class", "write isinstance(x, str)")
    value = expr(body, node.args[0])
    op.refuse_opaque(node, value)
    body.inspect(value)
    classes = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
    tests = []
    for class_node in classes:
        cls = body.resolve(class_node)
        try:
            json_type = _JSON_TYPES.get(cls)
        except TypeError:
            json_type = None
        if cls is dict:
            tests.append(f'$PYTYPE({value.code}) = "dict"')
        elif json_type is not None:
            tests.append(f'$type({value.code}) = "{json_type}"')
        elif cls is int and not value.type.may("float"):
            tests.append(f"$PYISNUM({value.code})")
        elif cls is float and not value.type.may("int"):
            tests.append(f'$type({value.code}) = "number"')
        else:
            raise Refusal(
                node, f"isinstance(..., {ast.unparse(class_node)}) cannot be told in a graph", "ask inside a @task"
            )
    return Value(code=f"({' or '.join(tests)})", type=t.BOOL)


@builtin(builtins.range, zip, enumerate, reversed)
def _lazy(body: Body, node: ast.Call) -> Value:
    name = ast.unparse(node.func)
    raise Refusal(node, f"{name}(...) is only supported where it is looped over", f"wrap it: list({ast.unparse(node)})")


@builtin(set, frozenset)
def _set(body: Body, node: ast.Call) -> Value:
    raise Refusal(node, "a set has no JSON form", "use a list, or build the set inside a @task")


@builtin(map, filter)
def _map(body: Body, node: ast.Call) -> Value:
    raise Refusal(node, f"{ast.unparse(node.func)}() is not supported", "write a comprehension: [f(x) for x in xs]")


def _one(body: Body, node: ast.Call) -> Value:
    if len(node.args) != 1 or node.keywords or isinstance(node.args[0], ast.Starred):
        raise Refusal(node, f"{ast.unparse(node.func)} takes one value here", "pass one value")
    return expr(body, node.args[0])


def _number(body: Body, node: ast.Call, name: str) -> Value:
    value = _one(body, node)
    op.refuse_opaque(node, value)
    body.inspect(value)
    if not value.type.only(*t.NUMBERS):
        body.problem(f"$PYUNARY_P({value.code}, {text(name)})", "TypeError")
        return Value(code=value.code, type=t.NUMBER if not value.type.may("bool") else value.type)
    return value
