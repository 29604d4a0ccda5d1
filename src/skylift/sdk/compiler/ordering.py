"""Order: `sorted`, `min` and `max` with a `key=`, and whether values can be ordered at all."""

from __future__ import annotations

import ast

from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body, sequence
from skylift.sdk.compiler.dispatch import expr
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.types import Type
from skylift.sdk.compiler.value import Value, text


def sorted_code(body: Body, node: ast.AST, items: Value, key_node: ast.expr | None, *, reverse: bool) -> str:
    """JSONata for a stable sort."""
    key = key_function(body, items, key_node)
    check_orderable(body, node, items, key, "<")
    sign = "<" if reverse else ">"
    left, right = (ordered(name, key, items.type.element()) for name in ("$PYA", "$PYV"))
    return f"[$sort({items.code}, function($PYA, $PYV){{{left} {sign} {right}}})[]]"


def key_function(body: Body, items: Value, node: ast.expr | None) -> tuple[str, Value] | None:
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


def ordered(operand: str, key: tuple[str, Value] | None, element: Type) -> str:
    """What is compared: True and False as 1 and 0."""
    code = _by_key(operand, key)
    type_ = element if key is None else key[1].type
    return f"$PYNUM({code})" if type_.may("bool") and type_.kinds else code


def check_orderable(body: Body, node: ast.AST, items: Value, key: tuple[str, Value] | None, sign: str) -> None:
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
