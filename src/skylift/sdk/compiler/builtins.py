"""Python's builtin functions over compiled values."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from typing import Any

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body, sequence
from skylift.sdk.compiler.dispatch import expr
from skylift.sdk.compiler.iteration import iterable
from skylift.sdk.compiler.refuse import IN_A_TASK, Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.types import Type
from skylift.sdk.compiler.value import Value, constant, text

BUILTINS: dict[Any, Callable[[Body, ast.Call], Value]] = {}
_JSON_TYPES = {str: "string", list: "array", dict: "object", bool: "boolean"}


def _builtin(*functions: Any) -> Callable[[Callable[[Body, ast.Call], Value]], Callable[[Body, ast.Call], Value]]:
    def register(compile_: Callable[[Body, ast.Call], Value]) -> Callable[[Body, ast.Call], Value]:
        for function in functions:
            BUILTINS[function] = compile_
        return compile_

    return register


@_builtin(len)
def _len(body: Body, node: ast.Call) -> Value:
    value = _one(body, node)
    op.refuse_opaque(node, value)
    body.inspect(value)
    if value.parts is not None:
        return constant(len(value.parts))
    if value.type.only("list"):
        return Value(code=f"$count({value.code})", type=t.INT)
    if value.type.only("str"):
        return Value(code=f"$length({value.code})", type=t.INT)
    if value.type.only("tuple"):
        return Value(code=f"$count({value.operand}.items)", type=t.INT)
    if value.type.only("dict"):
        return Value(code=f"$count($keys({value.code}))", type=t.INT)
    if value.type.only("data"):
        raise Refusal(node, f"a graph cannot take the length of a {value.type}", IN_A_TASK)
    body.problem(f"$PYLEN_P({value.code})", "TypeError")
    return Value(code=f"$PYLEN({value.code})", type=t.INT)


@_builtin(sum)
def _sum(body: Body, node: ast.Call) -> Value:
    if not 1 <= len(node.args) <= 2 or node.keywords:
        raise Refusal(node, "sum takes an iterable and a start", "write sum(values)")
    items = iterable(body, node.args[0])
    start = expr(body, node.args[1]) if len(node.args) == 2 else constant(0)
    body.inspect(items)
    body.inspect(start)
    element = items.type.element()
    if (element.kinds and not element.only(*t.NUMBERS)) or not start.type.only(*t.NUMBERS):
        message = text("unsupported operand type(s) for +: a graph sums numbers only")
        body.problem(
            f"$count($filter({items.code}, function($PYV){{$not($PYISNUM($PYV))}})) > 0 or "
            f"$not($PYISNUM({start.code})) ? {error('TypeError', message)} : null",
            "TypeError",
        )
    codes = items.code if element.only("int", "float") else f"[$map({items.code}, $PYNUM)[]]"
    begin = op.as_number(start)
    total = f"$reduce({codes}, function($PYA, $PYV){{$PYA + $PYV}}, {begin})"
    if not element.may("float") and begin == "0":
        total = f"$sum({codes})"
    type_ = t.union(t.INT if not element.only("float") else t.NUMBER, element, start.type)
    return Value(code=total, type=t.INT if type_.only("int", "bool") else t.NUMBER)


@_builtin(min, max)
def _extreme(body: Body, node: ast.Call) -> Value:
    name = "min" if body.resolve(node.func) is min else "max"
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    if set(keywords) - {"key", "default"} or not node.args:
        raise Refusal(node, f"{name} takes values, key= and default=", f"write {name}(values)")
    if len(node.args) == 1:
        items = iterable(body, node.args[0])
    else:
        made = ast.copy_location(ast.List(elts=node.args, ctx=ast.Load()), node)
        items = expr(body, made)
    body.inspect(items)
    key = _key(body, items, keywords.get("key"))
    element = items.type.element()
    if len(node.args) == 1 and "default" not in keywords:
        message = text(f"{name}() arg is an empty sequence")
        body.problem(f"$count({items.code}) = 0 ? {error('ValueError', message)} : null", "ValueError")
    _orderable(body, node, items, key, "<" if name == "min" else ">")
    sign = "<" if name == "min" else ">"
    compared = _ordered("$PYV", key, element), _ordered("$PYA", key, element)
    if keywords.get("key") is None and element.only("int", "float"):
        code = f"${name}({items.code})"
    else:
        code = f"$reduce({items.code}, function($PYA, $PYV){{{compared[0]} {sign} {compared[1]} ? $PYV : $PYA}})"
    type_ = element
    sources = items.sources
    if "default" in keywords:
        default = expr(body, keywords["default"])
        code = f"$count({items.code}) = 0 ? {default.operand} : {code}"
        type_, sources = t.union(element, default.type), sources | default.sources
        return Value(code=code, type=type_, simple=False, sources=sources)
    return Value(code=code, type=type_, sources=sources)


@_builtin(sorted)
def _sorted(body: Body, node: ast.Call) -> Value:
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    if set(keywords) - {"key", "reverse"} or len(node.args) != 1:
        raise Refusal(
            node, "sorted takes an iterable, key= and reverse=", "write sorted(values, key=..., reverse=True)"
        )
    items = iterable(body, node.args[0])
    body.inspect(items)
    reverse = False
    if "reverse" in keywords:
        flag = expr(body, keywords["reverse"])
        if not flag.is_constant:
            raise Refusal(node, "reverse= must be a constant", "write sorted(...) in both branches of an if")
        reverse = bool(flag.constant)
    code = sorted_code(body, node, items, keywords.get("key"), reverse=reverse)
    return Value(code=code, type=items.type, sources=items.sources)


@_builtin(any, all)
def _any_all(body: Body, node: ast.Call) -> Value:
    is_any = body.resolve(node.func) is any
    if len(node.args) != 1 or node.keywords:
        raise Refusal(node, "any and all take one iterable", "write any(values)")
    argument = node.args[0]
    if isinstance(argument, ast.GeneratorExp):
        from skylift.sdk.compiler.steps_in import has_steps

        if not has_steps(body, argument):
            return _lazy_any_all(body, argument, is_any)
    items = iterable(body, argument)
    body.inspect(items)
    with body.collect() as found:
        test = op.truth(body, node, Value(code="$PYV", type=items.type.element()))
    if found:
        problem = sequence(found)
        body.problem(f"$PYFIRST([$map({items.code}, function($PYV){{{problem.code}}})[]])", *problem.names)
    wanted = test if is_any else f"$not({test})"
    sign = ">" if is_any else "="
    return Value(code=f"($count($filter({items.code}, function($PYV){{{wanted}}})) {sign} 0)", type=t.BOOL)


def _lazy_any_all(body: Body, node: ast.GeneratorExp, is_any: bool) -> Value:
    """Python stops at the first answer, so that errors of later elements do not come up."""
    from skylift.sdk.compiler.maps import pure_elements

    with body.collect() as found:
        made = ast.copy_location(ast.ListComp(elt=node.elt, generators=node.generators), node)
        items = pure_elements(body, made)
    if found:
        raise Refusal(
            node, "elements of any/all that may raise are not supported", "use a list: any([...]), or a loop with break"
        )
    body.inspect(items)
    with body.collect() as problems:
        test = op.truth(body, node, Value(code="$PYV", type=items.type.element()))
    if problems:
        raise Refusal(node, "the type of these elements is not known", "compare them: any(x > 0 for x in xs)")
    wanted = test if is_any else f"$not({test})"
    return Value(
        code=f"($count($filter({items.code}, function($PYV){{{wanted}}})) {'>' if is_any else '='} 0)", type=t.BOOL
    )


@_builtin(abs)
def _abs(body: Body, node: ast.Call) -> Value:
    value = _number(body, node, "abs()")
    return Value(code=f"$abs({op.as_number(value)})", type=t.INT if value.type.only("int", "bool") else value.type)


@_builtin(round)
def _round(body: Body, node: ast.Call) -> Value:
    if len(node.args) == 2 and not (isinstance(node.args[1], ast.Constant) and node.args[1].value is None):
        raise Refusal(
            node, "round to digits is not exact in a graph", "round inside a @task, or multiply and round to int"
        )
    value = _number(body, ast.Call(func=node.func, args=node.args[:1], keywords=[], lineno=node.lineno), "round()")
    return Value(code=f"$round({op.as_number(value)})", type=t.INT)


@_builtin(int)
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
        pattern = f"$exists($match({value.code}, /^[ \\t\\n]*[+-]?[0-9]{{1,15}}[ \\t\\n]*$/))"
        message = f'"invalid literal for int() with base 10: " & $PYREPR({value.code})'
        body.problem(f"{pattern} ? null : {error('ValueError', message)}", "ValueError")
        return Value(code=f'$number($replace($trim({value.code}), "+", ""))', type=t.INT)
    if not value.type.kinds:
        return Value(code="0", type=t.INT)
    raise Refusal(node, f"int() of a {value.type} is not supported", "annotate where it comes from, or use a @task")


@_builtin(float)
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


@_builtin(str)
def _str(body: Body, node: ast.Call) -> Value:
    from skylift.sdk.compiler.expressions import text_of

    if not node.args:
        return constant("")
    value = _one(body, node)
    if value.type.only("str"):
        return value
    return Value(code=text_of(body, node, value), type=t.STR)


@_builtin(bool)
def _bool(body: Body, node: ast.Call) -> Value:
    from skylift.sdk.compiler.expressions import condition

    if not node.args:
        return constant(False)
    if len(node.args) != 1 or node.keywords:
        raise Refusal(node, "bool takes one value", "write bool(value)")
    return Value(code=condition(body, node.args[0]), type=t.BOOL)


@_builtin(list, tuple)
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


@_builtin(dict)
def _dict(body: Body, node: ast.Call) -> Value:
    from skylift.sdk.compiler.value import dict_display

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


@_builtin(isinstance)
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


@_builtin(builtins.range, zip, enumerate, reversed)
def _lazy(body: Body, node: ast.Call) -> Value:
    name = ast.unparse(node.func)
    raise Refusal(node, f"{name}(...) is only supported where it is looped over", f"wrap it: list({ast.unparse(node)})")


@_builtin(set, frozenset)
def _set(body: Body, node: ast.Call) -> Value:
    raise Refusal(node, "a set has no JSON form", "use a list, or build the set inside a @task")


@_builtin(map, filter)
def _map(body: Body, node: ast.Call) -> Value:
    raise Refusal(node, f"{ast.unparse(node.func)}() is not supported", "write a comprehension: [f(x) for x in xs]")


def sorted_code(body: Body, node: ast.AST, items: Value, key_node: ast.expr | None, *, reverse: bool) -> str:
    """JSONata for a stable sort."""
    key = _key(body, items, key_node)
    _orderable(body, node, items, key, "<")
    sign = "<" if reverse else ">"
    left, right = (_ordered(name, key, items.type.element()) for name in ("$PYA", "$PYV"))
    return f"[$sort({items.code}, function($PYA, $PYV){{{left} {sign} {right}}})[]]"


def _key(body: Body, items: Value, node: ast.expr | None) -> tuple[str, Value] | None:
    """A `key=lambda x: …` as the name of its parameter and its compiled body."""
    if node is None:
        return None
    if not (isinstance(node, ast.Lambda) and len(node.args.args) == 1 and not node.args.defaults):
        raise Refusal(node, "key= must be a lambda of one argument", "write key=lambda x: x.field")
    parameter = body.temporary(node.args.args[0].arg)
    bound = Value(code=f"${parameter}", type=items.type.element(), sources=items.sources)
    inner = body.child(scope={**body.scope, node.args.args[0].arg: bound}, pure="in a key function", problems=[])
    value = expr(inner, node.body)
    body.inspect(value)
    if inner.problems:
        problem = sequence(inner.problems)
        body.problem(f"$PYFIRST([$map({items.code}, function(${parameter}){{{problem.code}}})[]])", *problem.names)
    return parameter, value


def _by_key(operand: str, key: tuple[str, Value] | None) -> str:
    return operand if key is None else f"(${key[0]} := {operand}; {key[1].code})"


def _ordered(operand: str, key: tuple[str, Value] | None, element: Type) -> str:
    """What is compared: True and False as 1 and 0."""
    code = _by_key(operand, key)
    type_ = element if key is None else key[1].type
    return f"$PYNUM({code})" if type_.may("bool") and type_.kinds else code


def _orderable(body: Body, node: ast.AST, items: Value, key: tuple[str, Value] | None, sign: str) -> None:
    type_ = items.type.element() if key is None else key[1].type
    if type_.only(*t.NUMBERS) or type_.only("str") or not type_.kinds:
        return
    if not type_.unknown:
        raise Refusal(
            node, f"a graph cannot order values of type {type_}", "order by a number or a text: key=lambda x: ..."
        )
    first = f"{items.operand}[0]"
    check = f"$PYORDER_P({_by_key('$PYV', key)}, {_by_key(first, key)}, {text(sign)})"
    body.problem(
        f"$count({items.code}) < 2 ? null : $PYFIRST([$map({items.code}, function($PYV){{{check}}})[]])",
        "TypeError",
        "NotImplementedError",
    )


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
