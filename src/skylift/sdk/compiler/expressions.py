"""Expressions: names, constants, displays, operators, conditions, indexes and attributes."""

from __future__ import annotations

import ast
import enum
import math
from typing import Any

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body, choice
from skylift.sdk.compiler.dispatch import expr, expression
from skylift.sdk.compiler.flow import setter
from skylift.sdk.compiler.iteration import iterable
from skylift.sdk.compiler.raising import flush
from skylift.sdk.compiler.refuse import IN_A_TASK, Refusal
from skylift.sdk.compiler.semantics import error
from skylift.sdk.compiler.source import MISSING
from skylift.sdk.compiler.steps_in import has_steps
from skylift.sdk.compiler.value import (
    MAX_INTEGER,
    Value,
    constant,
    dict_display,
    display,
    template,
    text,
    variable,
)

_JSONATA_WORDS = {"and", "or", "in", "true", "false", "null", "function"}


@expression(ast.Constant)
def _constant(body: Body, node: ast.Constant) -> Value:
    return outside_value(node, node.value)


@expression(ast.Name)
def _name(body: Body, node: ast.Name) -> Value:
    value = body.lookup(node)
    if value is not None:
        return value
    found = body.outside(node.id)
    if found is MISSING:
        raise Refusal(node, f"{node.id} is not defined", "define it, or import it at the top of the module")
    return outside_value(node, found)


@expression(ast.List)
def _list(body: Body, node: ast.List) -> Value:
    if not any(isinstance(item, ast.Starred) for item in node.elts):
        return display(_items(body, node.elts), is_tuple=False)
    parts: list[Value] = []
    for item in node.elts:
        if isinstance(item, ast.Starred):
            parts.append(iterable(body, item.value))
        else:
            parts.append(display(_items(body, [item]), is_tuple=False))
    code = "[]"
    for part in parts:
        code = f"$append({code}, {part.code})"
    sources = frozenset().union(*(part.sources for part in parts))
    return Value(code=code, type=t.join(part.type for part in parts), sources=sources)


@expression(ast.Tuple)
def _tuple(body: Body, node: ast.Tuple) -> Value:
    return display(_items(body, node.elts), is_tuple=True)


@expression(ast.Dict)
def _dict(body: Body, node: ast.Dict) -> Value:
    if any(key is None for key in node.keys):
        return _merged_dict(body, node)
    keys, values = [], []
    for key, item in zip(node.keys, node.values, strict=True):
        assert key is not None
        keys.append(expr(body, key))
        values.append(expr(body, item))
    names = [key.constant for key in keys if key.is_constant and isinstance(key.constant, str)]
    if len(names) == len(keys) == len(set(names)):
        return dict_display(names, values)
    return _dynamic_dict(body, node, keys, values)


@expression(ast.BinOp)
def _binary(body: Body, node: ast.BinOp) -> Value:
    left = expr(body, node.left)
    right = expr(body, node.right)
    return op.binary(body, node, node.op, left, right)


@expression(ast.UnaryOp)
def _unary(body: Body, node: ast.UnaryOp) -> Value:
    if isinstance(node.op, ast.Not):
        return Value(code=f"$not({condition(body, node.operand)})", type=t.BOOL)
    return op.unary(body, node, expr(body, node.operand))


@expression(ast.BoolOp)
def _boolean(body: Body, node: ast.BoolOp) -> Value:
    is_and = isinstance(node.op, ast.And)
    if any(has_steps(body, value) for value in node.values[1:]):
        return _boolean_steps(body, node, is_and)
    value = expr(body, node.values[0])
    for operand in node.values[1:]:
        test = op.truth(body, node, value)
        guard = test if is_and else f"$not({test})"
        with body.collect() as found:
            right = expr(body, operand)
        body.problems += [problem.when(guard) for problem in found]
        if value.type.only("bool") and right.type.only("bool"):
            code = f"({value.operand} {'and' if is_and else 'or'} {right.operand})"
            value = Value(code=code, type=t.BOOL)
        else:
            first, second = (right, value) if is_and else (value, right)
            value = _either(test, first, second)
    return value


@expression(ast.Compare)
def _compare(body: Body, node: ast.Compare) -> Value:
    if any(has_steps(body, operand) for operand in node.comparators[1:]):
        return _compare_steps(body, node)
    left = expr(body, node.left)
    tests: list[str] = []
    for comparison, operand in zip(node.ops, node.comparators, strict=True):
        with body.collect() as found:
            right = expr(body, operand)
            tests_so_far = " and ".join(tests)
            test = op.compare(body, node, comparison, left, right)
        body.problems += [problem.when(tests_so_far) for problem in found] if tests else found
        tests.append(test)
        left = right
    return Value(code=f"({' and '.join(tests)})" if len(tests) > 1 else tests[0], type=t.BOOL)


@expression(ast.IfExp)
def _conditional(body: Body, node: ast.IfExp) -> Value:
    if has_steps(body, node.body) or has_steps(body, node.orelse):
        return _conditional_steps(body, node)
    test = condition(body, node.test)
    if test in ("true", "false"):
        return expr(body, node.body if test == "true" else node.orelse)
    with body.collect() as found:
        first = expr(body, node.body)
    body.problems += [problem.when(test) for problem in found]
    with body.collect() as found:
        second = expr(body, node.orelse)
    body.problems += [problem.when(f"$not({test})") for problem in found]
    return _either(test, first, second)


@expression(ast.Attribute)
def _attribute(body: Body, node: ast.Attribute) -> Value:
    found = body.resolve(node)
    if found is not MISSING:
        return outside_value(node, found)
    owner = body.resolve(node.value)
    if owner is not MISSING and isinstance(owner, enum.Enum):
        return outside_value(node, getattr(owner, node.attr, MISSING))
    return attribute(body, node, expr(body, node.value), node.attr)


@expression(ast.Subscript)
def _subscript(body: Body, node: ast.Subscript) -> Value:
    container = expr(body, node.value)
    if isinstance(node.slice, ast.Slice):
        return _slice(body, node, container, node.slice)
    index = expr(body, node.slice)
    op.refuse_opaque(node, container, index)
    body.inspect(container)
    body.inspect(index)
    return subscript(body, node, container, index)


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


def condition(body: Body, node: ast.expr) -> str:
    """JSONata for the truth of an expression."""
    if isinstance(node, ast.BoolOp) and not any(has_steps(body, value) for value in node.values[1:]):
        is_and = isinstance(node.op, ast.And)
        tests = [condition(body, node.values[0])]
        for operand in node.values[1:]:
            guard = f"({(' and ' if is_and else ' or ').join(tests)})"
            with body.collect() as found:
                test = condition(body, operand)
            body.problems += [problem.when(guard if is_and else f"$not({guard})") for problem in found]
            tests.append(test)
        return f"({(' and ' if is_and else ' or ').join(tests)})"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return f"$not({condition(body, node.operand)})"
    return op.truth(body, node, expr(body, node))


def outside_value(node: ast.AST, found: Any) -> Value:
    """A Python object of the module as a constant of the graph."""
    if found is None or (isinstance(found, (bool, str)) and not isinstance(found, enum.Enum)):
        return constant(found)
    if isinstance(found, enum.Enum):
        return _enum_value(node, found)
    if isinstance(found, int):
        if abs(found) > MAX_INTEGER:
            raise Refusal(node, f"{found} is beyond 2**53: a graph would lose digits", IN_A_TASK)
        return constant(int(found))
    if isinstance(found, float):
        if not math.isfinite(found):
            raise Refusal(node, f"{found} has no JSON form", IN_A_TASK)
        return constant(float(found))
    if type(found) in (list, tuple):
        return display([outside_value(node, item) for item in found], is_tuple=type(found) is tuple)
    if type(found) is dict and all(isinstance(key, str) for key in found):
        return dict_display(list(found), [outside_value(node, item) for item in found.values()])
    raise Refusal(node, f"{_spell(found)} cannot be a value in a graph", _mend_for(found))


def attribute(body: Body, node: ast.AST, value: Value, name: str) -> Value:
    """`value.name`: a field of a value that travels field by field."""
    if value.type.kind("error") is not None:
        raise Refusal(node, f"an exception's {name} is not kept in a graph", "use str(error)")
    op.refuse_opaque(node, value)
    body.inspect(value)
    code = f"{value.operand}.{step(name)}"
    data = value.type.kind("data")
    if value.type.unknown:
        body.problem(
            f'$type({value.code}) = "object" ? ($exists($lookup({value.code}, "__type__")) and $exists($lookup('
            f"{value.code}, {text(name)})) ? null : {_no_attribute(value, name)}) : {_no_attribute(value, name)}",
            "AttributeError",
        )
        return Value(code=code, type=t.ANY if value.type.kinds else t.BOTTOM, sources=value.sources)
    if data is None:
        if value.type.only("none"):
            body.problem(_no_attribute(value, name), "AttributeError")
            return Value(code="null", type=t.ANY)
        raise Refusal(node, f"{value.type} has no field {name}", "only fields of dataclass results can be read")
    others = value.type.without("data")
    if others.kinds:
        body.problem(f'$type({value.code}) = "object" ? null : {_no_attribute(value, name)}', "AttributeError")
    fields = t.fields_of(data.cls) or {}
    if name not in fields:
        raise Refusal(node, f"{data.cls.__name__} has no field {name}", _mend_for_field(data.cls, name, fields))
    return Value(code=code, type=fields[name], sources=value.sources)


def subscript(body: Body, node: ast.AST, container: Value, index: Value) -> Value:
    """`container[index]`; both have been checked for being visible."""
    kind = container.type
    if container.parts is not None and index.is_constant:
        known = _known_part(container, index.constant)
        if known is not None:
            return known
    if kind.only("dict"):
        return _lookup(body, node, container, index)
    if kind.only("list", "tuple"):
        return _element(body, node, container, index)
    if kind.only("str"):
        _index_number(body, node, index)
        number = op.as_number(index)
        _in_range(body, f"$length({container.code})", number, "string index out of range")
        return Value(code=f"$substring({container.code}, {number}, 1)", type=t.STR)
    if kind.kinds and not kind.may("dict", "list", "tuple", "str"):
        message = f"'{'NoneType' if kind.only('none') else kind}' object is not subscriptable"
        body.problem(error("TypeError", text(message)), "TypeError")
        return Value(code="null", type=t.ANY)
    body.problem(f"$PYGET_P({container.code}, {index.code})", "IndexError", "KeyError", "TypeError")
    types_ = [one.args[-1] if one.name == "dict" else t.Type(frozenset((one,))).element() for one in kind.kinds]
    type_ = t.join(types_) if kind.kinds and not kind.unknown else (t.ANY if kind.kinds else t.BOTTOM)
    return Value(code=f"$PYGET({container.code}, {index.code})", type=type_, sources=container.sources)


def step(name: str) -> str:
    """A field name as a JSONata path step."""
    plain = name.isidentifier() and name.isascii() and name not in _JSONATA_WORDS
    return name if plain else f"`{name}`"


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
        return f"$string({value.code})"
    if kind.only("str", "int", "bool", "none") or not kind.kinds or body.for_people:
        return f"$PYSTR({value.code})"
    if kind.unknown:
        raise Refusal(node, "the type of this value is not known here", "annotate where it comes from, e.g. `-> str`")
    raise Refusal(node, f"a graph cannot print a {kind} exactly as Python does", "format it inside a @task")


def _items(body: Body, nodes: list[ast.expr]) -> list[Value]:
    items: list[Value] = []
    for node in nodes:
        if isinstance(node, ast.Starred):
            inner = expr(body, node.value)
            if inner.parts is None or inner.keys is not None:
                raise Refusal(node, "* inside a display is not supported", "add the lists: [a] + rest")
            items += inner.parts
        else:
            items.append(expr(body, node))
    for node, item in zip(nodes, items, strict=False):
        if item.type.kind("error") is not None:
            raise Refusal(node, "an exception has no value in a graph", "use str(error)")
    return items


def _merged_dict(body: Body, node: ast.Dict) -> Value:
    codes, types_, sources = [], [], set[str]()
    for key, item in zip(node.keys, node.values, strict=True):
        if key is None:
            value = expr(body, item)
            op.require(body, item, value, "dict", "'object' is not a mapping")
        else:
            value = _dict(body, ast.Dict(keys=[key], values=[item], lineno=node.lineno, col_offset=node.col_offset))
        body.inspect(value)
        codes.append(value.code)
        types_.append(value.type)
        sources |= value.sources
    return Value(code=f"$merge([{', '.join(codes)}])", type=t.join(types_), sources=frozenset(sources))


def _dynamic_dict(body: Body, node: ast.Dict, keys: list[Value], values: list[Value]) -> Value:
    pairs = []
    for key, value in zip(keys, values, strict=True):
        op.require_key(body, node, key)
        pairs.append(f"{{{key.operand}: {value.code}}}")
    sources = frozenset().union(*(value.sources for value in values))
    type_ = t.dict_of(t.STR, t.join(value.type for value in values))
    return Value(code=f"$merge([{', '.join(pairs)}])", type=type_, sources=sources)


def _either(test: str, first: Value, second: Value) -> Value:
    code = f"{test} ? {first.operand} : {second.operand}"
    type_ = t.union(first.type, second.type)
    return Value(code=code, type=type_, simple=False, sources=first.sources | second.sources)


def _boolean_steps(body: Body, node: ast.BoolOp, is_and: bool) -> Value:
    """`a and f(b)` with a task call: control flow into a variable."""
    body.need_states(node, "a task call")
    first = expr(body, node.values[0])
    flush(body, node)
    result = body.hold(first, "result", node)
    for operand in node.values[1:]:
        test = op.truth(body, node, result)
        flush(body, node)
        state, rule = choice(test if is_and else f"$not({test})")
        body.flow.add(f"{'and' if is_and else 'or'} (line {node.lineno})", state, node)
        body.flow.join([setter(rule, "Next")])
        right = expr(body, operand)
        flush(body, node)
        body.assign(f"result (line {node.lineno})", {result.code[1:]: template(right)}, node)
        body.flow.join([setter(state, "Default")])
        type_ = t.union(result.type, right.type)
        result = variable(result.code[1:], type_, result.sources | right.sources)
    return result


def _compare_steps(body: Body, node: ast.Compare) -> Value:
    """A chain whose later operands call tasks: `a < b < f(c)` is `a < b and b < f(c)` with b computed once."""
    left = expr(body, node.left)
    middle = expr(body, node.comparators[0])
    test = op.compare(body, node, node.ops[0], left, middle)
    flush(body, node)
    inner = body.child(scope={**body.scope, "<middle>": middle, "<test>": Value(code=test, type=t.BOOL)})
    rest = ast.Compare(left=ast.Name(id="<middle>"), ops=node.ops[1:], comparators=node.comparators[1:])
    first = ast.Name(id="<test>")
    for made in (rest, rest.left, first):
        ast.copy_location(made, node)
    return expr(inner, ast.copy_location(ast.BoolOp(op=ast.And(), values=[first, rest]), node))


def _conditional_steps(body: Body, node: ast.IfExp) -> Value:
    body.need_states(node, "a task call")
    test = condition(body, node.test)
    flush(body, node)
    name = body.temporary("result")
    state, rule = choice(test)
    body.flow.add(f"if {ast.unparse(node.test)[:50]} (line {node.lineno})", state, node)
    body.flow.join([setter(rule, "Next")])
    first = expr(body, node.body)
    flush(body, node)
    body.assign(f"result (line {node.lineno})", {name: template(first)}, node)
    ends = body.flow.take()
    body.flow.join([setter(state, "Default")])
    second = expr(body, node.orelse)
    flush(body, node)
    body.assign(f"result (line {node.lineno})", {name: template(second)}, node)
    body.flow.join(ends)
    return variable(name, t.union(first.type, second.type), first.sources | second.sources)


def _no_attribute(value: Value, name: str) -> str:
    message = f"\"'\" & $PYTYPE({value.code}) & \"' object has no attribute '{name}'\""
    return error("AttributeError", message)


def _known_part(container: Value, index: Any) -> Value | None:
    assert container.parts is not None
    if container.keys is not None:
        return container.parts[container.keys.index(index)] if index in container.keys else None
    if isinstance(index, int) and -len(container.parts) <= index < len(container.parts):
        return container.parts[index]
    return None


def _lookup(body: Body, node: ast.AST, container: Value, key: Value) -> Value:
    op.require_key(body, node, key)
    kind = container.type.kind("dict")
    assert kind is not None
    if key.is_constant and isinstance(key.constant, str):
        found = f"{container.operand}.{step(key.constant)}"
        cause = text(repr(key.constant))
    else:
        found = f"$lookup({container.code}, {key.code})"
        cause = f"$PYREPR({key.code})"
    body.problem(f"$exists({found}) ? null : {error('KeyError', cause)}", "KeyError")
    return Value(code=found, type=kind.args[1], sources=container.sources)


def _element(body: Body, node: ast.AST, container: Value, index: Value) -> Value:
    _index_number(body, node, index)
    number = op.as_number(index)
    items = op.elements(container)
    kind = container.type.kind("tuple")
    known = kind is not None and container.type.only("tuple") and isinstance(index.constant, int)
    if kind is not None and known and -len(kind.args) <= index.constant < len(kind.args):
        return Value(code=f"{items}[{number}]", type=kind.args[index.constant], sources=container.sources)
    name = "tuple" if container.type.only("tuple") else "list"
    _in_range(body, f"$count({items})", number, f"{name} index out of range")
    return Value(code=f"{items}[{number}]", type=container.type.element(), sources=container.sources)


def _index_number(body: Body, node: ast.AST, index: Value) -> None:
    if index.type.only("int", "bool"):
        return
    if index.type.kinds and not index.type.may("int", "bool"):
        raise Refusal(node, f"an index must be a whole number, this is {index.type}", "use an int")
    if not index.type.kinds:
        return
    message = text("list indices must be integers")
    body.problem(f'$PYTYPE({index.code}) in ["int", "bool"] ? null : {error("TypeError", message)}', "TypeError")


def _in_range(body: Body, length: str, number: str, message: str) -> None:
    body.problem(
        f"({number} >= {length} or {number} < -{length}) ? {error('IndexError', text(message))} : null", "IndexError"
    )


def _slice(body: Body, node: ast.Subscript, container: Value, part: ast.Slice) -> Value:
    op.refuse_opaque(node, container)
    body.inspect(container)
    bounds = []
    for bound in (part.lower, part.upper, part.step):
        value = constant(None) if bound is None else expr(body, bound)
        if value.type.kinds and not value.type.only("int", "bool", "none"):
            message = text("slice indices must be integers or None or have an __index__ method")
            body.problem(
                f'$PYTYPE({value.code}) in ["int", "bool", "NoneType"] ? null : {error("TypeError", message)}',
                "TypeError",
            )
        bounds.append(value.code if not value.type.may("bool") else f"$PYNUM({value.code})")
    if part.step is not None and not (isinstance(part.step, ast.Constant) and part.step.value):
        body.problem(f"{bounds[2]} = 0 ? {error('ValueError', text('slice step cannot be zero'))} : null", "ValueError")
    arguments = ", ".join(bounds)
    kind = container.type
    if kind.only("list"):
        return Value(code=f"$PYSLICE({container.code}, {arguments})", type=kind, sources=container.sources)
    if kind.only("str"):
        return Value(code=f'$join($PYSLICE($PYITEMS({container.code}), {arguments}), "")', type=t.STR)
    if kind.only("tuple"):
        code = f'{{"__type__": "tuple", "items": $PYSLICE({op.elements(container)}, {arguments})}}'
        return Value(code=code, type=t.ANY, sources=container.sources)
    message = text("this object is not subscriptable")
    body.problem(
        f'$PYTYPE({container.code}) in ["list", "str"] ? null : {error("TypeError", message)}',
        "TypeError",
    )
    code = (
        f'$type({container.code}) = "string" ? $join($PYSLICE($PYITEMS({container.code}), {arguments}), "") : '
        f"$PYSLICE({container.code}, {arguments})"
    )
    return Value(code=code, type=kind if kind.kinds else t.BOTTOM, simple=False, sources=container.sources)


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


def _enum_value(node: ast.AST, member: enum.Enum) -> Value:
    from skylift.sdk.compiler.constants import encode_constant

    return encode_constant(node, member)


def _spell(found: Any) -> str:
    name = getattr(found, "__qualname__", None) or getattr(found, "__name__", None)
    return str(name) if name else f"a {type(found).__name__}"


def _mend_for(found: Any) -> str:
    if callable(found) and not isinstance(found, type):
        return "call it inside a @task"
    return "only None, bool, int, float, str, lists, tuples and dicts of them can; make it inside a @task"


def _mend_for_field(cls: Any, name: str, fields: dict[str, Any]) -> str:
    if hasattr(cls, name):
        return f"methods and properties of {cls.__name__} run in a @task; only fields can be read here"
    import difflib

    near = difflib.get_close_matches(name, fields, n=1)
    return f"did you mean {near[0]}?" if near else f"its fields: {', '.join(fields)}"
