"""Values as text: `str(x)`, f-strings and their formats."""

from __future__ import annotations

import ast

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body
from skylift.sdk.compiler.dispatch import expr, expression
from skylift.sdk.compiler.exact import bound_of
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.value import Value, constant, text


@expression(ast.JoinedStr)
def _joined(body: Body, node: ast.JoinedStr) -> Value:
    parts: list[Value] = []
    for piece in node.values:
        if isinstance(piece, ast.FormattedValue):
            parts.append(_formatted(body, piece))
        else:
            parts.append(expr(body, piece))
    if all(part.is_constant for part in parts):
        return constant("".join(part.constant for part in parts))
    if len(parts) == 1:
        return parts[0]
    return Value(code=" & ".join(part.operand for part in parts), type=t.STR, simple=False)


def text_of(body: Body, node: ast.AST, value: Value) -> str:
    """JSONata for `str(value)`, an operand; refused where the graph would not print what Python prints."""
    kind = value.type
    if kind.only("error"):
        return f"$PYMESSAGE({value.code})"
    op.refuse_opaque(node, value)
    body.inspect(value)
    if value.is_constant and not isinstance(value.constant, (list, dict)):
        return text(str(value.constant))
    if kind.only("str"):
        return value.operand
    if kind.only("int"):
        bound = bound_of(value)
        exact = body.for_people or (bound is not None and bound < 10**15)
        return f"{'$string' if exact else '$PYDIGITS'}({value.code})"
    if kind.only("str", "int", "bool", "none") or not kind.kinds or body.for_people:
        return f"{'$PYSTR' if body.for_people else '$PYTEXT'}({value.code})"
    if kind.unknown:
        raise Refusal(node, "the type of this value is not known here", "annotate where it comes from, e.g. `-> str`")
    raise Refusal(node, f"a graph cannot print a {kind} exactly as Python does", "format it inside a @task")


def _formatted(body: Body, node: ast.FormattedValue) -> Value:
    value = expr(body, node.value)
    spec = _format_spec(node)
    if node.conversion == ord("r"):
        if not value.type.only("str") and not body.for_people:
            raise Refusal(node, "!r is only exact for text", "leave !r out, or format it inside a @task")
        code = f"$PYREPR({value.code})" if value.type.only("str") else text_of(body, node, value)
        return Value(code=code, type=t.STR)
    if node.conversion not in (-1, ord("s")):
        raise Refusal(node, "!a is not supported", "format it inside a @task")
    if not spec:
        return Value(code=text_of(body, node, value), type=t.STR) if not value.type.only("str") else value
    return Value(code=_with_spec(body, node, value, spec), type=t.STR)


def _format_spec(node: ast.FormattedValue) -> str:
    if node.format_spec is None:
        return ""
    if isinstance(node.format_spec, ast.JoinedStr):
        pieces = node.format_spec.values
        if all(isinstance(piece, ast.Constant) for piece in pieces):
            return "".join(str(piece.value) for piece in pieces if isinstance(piece, ast.Constant))
    raise Refusal(node, "a computed format is not supported", "format it inside a @task")


def _with_spec(body: Body, node: ast.FormattedValue, value: Value, spec: str) -> str:
    body.inspect(value)
    if value.type.only("int") and spec == "d":
        return f"$string({value.code})"
    if value.type.only("int") and len(spec) <= 3 and spec.startswith("0") and spec.rstrip("d").isdigit():
        width = int(spec.rstrip("d"))
        return (
            f'(({value.operand} < 0 ? "-" : "") & $pad($string($abs({value.code})), '
            f'{value.operand} < 0 ? {1 - width} : {-width}, "0"))'
        )
    digits = spec[1:-1]
    if body.for_people and spec[:1] == "." and spec[-1:] in ("f", "%") and digits.isdigit() and int(digits) <= 12:
        picture = "0" + ("." + "0" * int(digits) if int(digits) else "") + ("%" if spec[-1] == "%" else "")
        return f"$formatNumber({op.as_number(value)}, {text(picture)})"
    raise Refusal(
        node, f"the format {spec!r} is not exact in a graph", "format it inside a @task (print and messages may round)"
    )
