"""Builtin functions that go over an iterable: `sum min max sorted any all`."""

from __future__ import annotations

import ast

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body, sequence
from skylift.sdk.compiler.dispatch import builtin, expr
from skylift.sdk.compiler.exact import LIMIT, checked
from skylift.sdk.compiler.iteration import iterable
from skylift.sdk.compiler.ordering import check_orderable, key_function, ordered, sorted_code
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.steps_in import has_steps
from skylift.sdk.compiler.value import Value, constant, text


@builtin(sum)
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
    if element.only("float"):
        return Value(code=total, type=t.NUMBER)
    return Value(code=checked(total), type=t.INT if type_.only("int", "bool") else t.NUMBER, bound=LIMIT)


@builtin(min, max)
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
    key = key_function(body, items, keywords.get("key"))
    element = items.type.element()
    if len(node.args) == 1 and "default" not in keywords:
        message = text(f"{name}() arg is an empty sequence")
        body.problem(f"$count({items.code}) = 0 ? {error('ValueError', message)} : null", "ValueError")
    check_orderable(body, node, items, key, "<" if name == "min" else ">")
    sign = "<" if name == "min" else ">"
    compared = ordered("$PYV", key, element), ordered("$PYA", key, element)
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


@builtin(sorted)
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


@builtin(any, all)
def _any_all(body: Body, node: ast.Call) -> Value:
    is_any = body.resolve(node.func) is any
    if len(node.args) != 1 or node.keywords:
        raise Refusal(node, "any and all take one iterable", "write any(values)")
    argument = node.args[0]
    if isinstance(argument, ast.GeneratorExp) and not has_steps(body, argument):
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
    with body.collect() as found:
        made = ast.copy_location(ast.ListComp(elt=node.elt, generators=node.generators), node)
        items = expr(body, made)
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
