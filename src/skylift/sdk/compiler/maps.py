"""Comprehensions: with a task call inside a Map state, without one an expression."""

from __future__ import annotations

import ast
from typing import Any

from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.assignment import unpack
from skylift.sdk.compiler.body import Body, choice, sequence
from skylift.sdk.compiler.calls import end_with
from skylift.sdk.compiler.conditions import condition
from skylift.sdk.compiler.dispatch import expr, expression
from skylift.sdk.compiler.flow import Flow, State, setter
from skylift.sdk.compiler.iteration import iterable
from skylift.sdk.compiler.raising import catchers, flush
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.steps_in import has_steps
from skylift.sdk.compiler.value import Value, list_code, template, variable
from skylift.sdk.compiler.value import expression as jsonata

ITEM = "$states.context.Map.Item.Value"


@expression(ast.ListComp)
def _list_comprehension(body: Body, node: ast.ListComp) -> Value:
    return _elements(body, node, node.elt, node.generators)


@expression(ast.GeneratorExp)
def _generator(body: Body, node: ast.GeneratorExp) -> Value:
    raise Refusal(node, "a generator is only supported inside sum, min, max, any, all, list, sorted, join", "use [...]")


@expression(ast.DictComp)
def _dict_comprehension(body: Body, node: ast.DictComp) -> Value:
    pair = ast.copy_location(ast.Tuple(elts=[node.key, node.value], ctx=ast.Load()), node)
    pairs = _elements(body, node, pair, node.generators)
    kind = pairs.type.element().kind("tuple")
    key, value = (kind.args[0], kind.args[1]) if kind is not None else (t.BOTTOM, t.BOTTOM)
    if key.kinds and not key.may("str"):
        raise Refusal(node.key, f"keys of a dict in a graph are text, these are {key}", "use str(...) for the key")
    if key.kinds and not key.only("str"):
        body.problem(
            f'$count($filter({pairs.code}, function($PYV){{$type($PYV.items[0]) != "string"}})) > 0 ? '
            '{"Error": "TypeError", "Cause": "keys of a dict in a graph are text"} : null',
            "TypeError",
        )
    made = f"$map({pairs.code}, function($PYV){{{{$PYV.items[0]: $PYV.items[1]}}}})"
    return Value(code=f"$merge([{{}}, {made}])", type=t.dict_of(t.STR, value), sources=pairs.sources)


def _elements(body: Body, node: ast.expr, element: ast.expr, generators: list[ast.comprehension]) -> Value:
    first = generators[0]
    if first.is_async:
        raise Refusal(node, "a pipeline is not async", "leave out async")
    inside: list[ast.AST] = [element, *first.ifs]
    for further in generators[1:]:
        inside += [further.iter, *further.ifs]
    if any(has_steps(body, part) for part in inside):
        return _map_state(body, node, element, generators)
    return _map_expression(body, node, element, generators)


def _map_expression(body: Body, node: ast.expr, element: ast.expr, generators: list[ast.comprehension]) -> Value:
    first = generators[0]
    items = iterable(body, first.iter)
    parameter = body.temporary(first.target.id if isinstance(first.target, ast.Name) else "item")
    inner = body.child(problems=[], pure="in a comprehension", scope=dict(body.scope))
    item = Value(code=f"${parameter}", type=items.type.element(), sources=items.sources)
    _bind_target(inner, first.target, item, node)
    source = items.code
    lead: list[str] = []
    names: set[str] = set()
    if inner.problems:
        problem = sequence(inner.problems)
        lead.append(problem.code)
        names |= problem.names
        inner.problems.clear()
    test = ""
    for clause in first.ifs:
        one = condition(inner, clause)
        if inner.problems:
            problem = sequence(inner.problems)
            lead.append(f"({test}) ? ({problem.code}) : null" if test else problem.code)
            names |= problem.names
            inner.problems.clear()
        test = f"({test} and {one})" if test else one
    value = _elements(inner, node, element, generators[1:]) if len(generators) > 1 else expr(inner, element)
    if value.type.kind("error") is not None:
        raise Refusal(element, "an exception has no value in a graph", "use str(error)")
    if inner.problems:
        problem = sequence(inner.problems)
        lead.append(f"({test}) ? ({problem.code}) : null" if test else problem.code)
        names |= problem.names
    if lead:
        code = lead[-1]
        for one in reversed(lead[:-1]):
            code = f"($PYP := {one}; $PYP != null ? $PYP : ({code}))"
        body.problem(f"$PYFIRST([$map({source}, function(${parameter}){{{code}}})[]])", *names)
    if test:
        source = f"[$filter({source}, function(${parameter}){{{test}}})[]]"
    if len(generators) > 1:
        code = f"$reduce([$map({source}, function(${parameter}){{{value.code}}})[]], $append, [])"
        return Value(code=code, type=value.type, sources=value.sources)
    if value.code == f"${parameter}":
        return Value(code=source, type=items.type, sources=value.sources)
    code = f"[$map({source}, function(${parameter}){{{value.code}}})[]]"
    return Value(code=code, type=t.list_of(value.type), sources=value.sources)


def _bind_target(inner: Body, target: ast.expr, item: Value, node: ast.AST) -> None:
    pairs: list[tuple[ast.expr, Value]] = []
    unpack(inner, target, item, node, pairs)
    for leaf, value in pairs:
        if not isinstance(leaf, ast.Name):
            raise Refusal(leaf, "a comprehension binds plain names only", "write `for x in xs`")
        inner.scope[leaf.id] = value


def _map_state(body: Body, node: ast.expr, element: ast.expr, generators: list[ast.comprehension]) -> Value:
    body.need_states(node, "a task call")
    first = generators[0]
    items = iterable(body, first.iter)
    plain, later = _split_conditions(body, first)
    if plain:
        items = _filtered(body, node, first.target, items, plain)
    flush(body, node)
    state, value, keeps = _processor(body, node, element, first.target, later, generators[1:], items)
    result = body.temporary("results")
    entries = catchers(body)
    if entries:
        state["Catch"] = entries
    state["Assign"] = {result: "{% $states.result %}"}
    body.flow.add(_named(element, first), state, node)
    type_ = t.list_of(value.type)
    if keeps or len(generators) > 1:
        inner_type = value.type if not keeps else t.list_of(value.type)
        return Value(code=f"$reduce(${result}, $append, [])", type=inner_type, sources=value.sources)
    return variable(result, type_, value.sources)


def _processor(
    body: Body,
    node: ast.expr,
    element: ast.expr,
    target: ast.expr,
    conditions: list[ast.expr],
    further: list[ast.comprehension],
    items: Value,
) -> tuple[State, Value, bool]:
    """The Map state. Its processor reads the item straight from its input if one task is all it does."""
    checkpoint = body.flow.names.copy()
    lines = dict(body.flow.source_map)
    for direct in (True, False):
        body.flow.names.restore(checkpoint)
        body.flow.source_map.clear()
        body.flow.source_map.update(lines)
        inner = _inside(body, direct)
        selector = _bind_item(inner, target, items, node)
        start = "" if direct else _bring_in(inner, node)
        value, keeps = _write_processor(inner, node, element, conditions, further)
        if direct and len(inner.flow.states) > 1:
            continue
        for name, outer_value in inner.captured.items():
            selector[name] = template(outer_value)
        if start:
            brought = {inner.capture_code(name)[1:]: jsonata(f"$states.input.{name}") for name in selector}
            inner.flow.states[start]["Assign"] = brought
        break
    processor = {"ProcessorConfig": {"Mode": "INLINE"}, **inner.flow.document()}
    state: State = {"Type": "Map", "Items": template(items) if items.parts else jsonata(items.code)}
    if selector:
        state["ItemSelector"] = selector
    state["ItemProcessor"] = processor
    return state, value, keeps


def _inside(body: Body, direct: bool) -> Body:
    inner = body.child(
        flow=Flow(body.flow.names, body.flow.source_map),
        frames=[],
        problems=[],
        scope={},
        locals=frozenset(),
        outer=body,
        captured={},
    )
    if not direct:
        renamed: dict[str, str] = {}

        def code(name: str) -> str:
            if name not in renamed:
                renamed[name] = body.unit.names.variable(name)
            return f"${renamed[name]}"

        inner.capture_code = code
    else:
        inner.capture_code = lambda name: f"$states.input.{name}"
    return inner


def _bring_in(inner: Body, node: ast.AST) -> str:
    """The state that puts the item and what it needs from outside into variables."""
    return inner.flow.add(f"item (line {getattr(node, 'lineno', 0)})", {"Type": "Pass", "Assign": {}}, node)


def _bind_item(inner: Body, target: ast.expr, items: Value, node: ast.AST) -> dict[str, Any]:
    """Names of the target, and where ItemSelector takes them from."""
    pairs: list[tuple[ast.expr, Value]] = []
    unpack(inner, target, Value(code=ITEM, type=items.type.element(), sources=items.sources), node, pairs)
    if inner.problems:
        held = "item"
        inner.problems.clear()
        item = Value(code=inner.capture_code(held), type=items.type.element(), sources=items.sources)
        pairs = []
        unpack(inner, target, item, node, pairs)
        for leaf, value in pairs:
            inner.scope[_leaf(leaf)] = value
        return {held: jsonata(ITEM)}
    selector = {}
    for leaf, value in pairs:
        name = _leaf(leaf)
        selector[name] = jsonata(value.code)
        inner.scope[name] = Value(code=inner.capture_code(name), type=value.type, sources=value.sources)
    return selector


def _leaf(node: ast.expr) -> str:
    if not isinstance(node, ast.Name):
        raise Refusal(node, "a comprehension binds plain names only", "write `for x in xs`")
    return node.id


def _write_processor(
    inner: Body,
    node: ast.expr,
    element: ast.expr,
    conditions: list[ast.expr],
    further: list[ast.comprehension],
) -> tuple[Value, bool]:
    ends = []
    for clause in conditions:
        test = condition(inner, clause)
        flush(inner, clause)
        state, rule = choice(test)
        inner.flow.add(f"if {ast.unparse(clause)[:50]} (line {clause.lineno})", state, clause)
        ends.append(setter(state, "Default"))
        inner.flow.join([setter(rule, "Next")])
    value = _elements(inner, node, element, further) if further else expr(inner, element)
    if value.type.kind("error") is not None:
        raise Refusal(element, "an exception has no value in a graph", "use str(error)")
    flush(inner, element)
    if not conditions:
        end_with(inner, value, element)
        return value, False
    if further:
        end_with(inner, value, element)
    else:
        wrapped = Value(code=list_code([value]), type=t.list_of(value.type), parts=(value,), sources=value.sources)
        end_with(inner, wrapped, element)
    inner.flow.join(ends)
    inner.flow.add(f"left out (line {node.lineno})", {"Type": "Succeed", "Output": []}, node)
    return value, not further


def _split_conditions(body: Body, generator: ast.comprehension) -> tuple[list[ast.expr], list[ast.expr]]:
    """Conditions before the first one that calls a task filter the items; the others are part of the processor."""
    for index, clause in enumerate(generator.ifs):
        if has_steps(body, clause):
            return generator.ifs[:index], generator.ifs[index:]
    return generator.ifs, []


def _filtered(body: Body, node: ast.expr, target: ast.expr, items: Value, clauses: list[ast.expr]) -> Value:
    parameter = body.temporary(target.id if isinstance(target, ast.Name) else "item")
    inner = body.child(problems=[], pure="in a condition of a comprehension", scope=dict(body.scope))
    _bind_target(inner, target, Value(code=f"${parameter}", type=items.type.element(), sources=items.sources), node)
    test = condition(inner, clauses[0] if len(clauses) == 1 else _conjunction(clauses))
    if inner.problems:
        problem = sequence(inner.problems)
        body.problem(f"$PYFIRST([$map({items.code}, function(${parameter}){{{problem.code}}})[]])", *problem.names)
    code = f"[$filter({items.code}, function(${parameter}){{{test}}})[]]"
    return Value(code=code, type=items.type, sources=items.sources)


def _conjunction(clauses: list[ast.expr]) -> ast.expr:
    return ast.copy_location(ast.BoolOp(op=ast.And(), values=clauses), clauses[0])


def _named(element: ast.expr, generator: ast.comprehension) -> str:
    word = ast.unparse(element.func) if isinstance(element, ast.Call) else "map"
    return f"{word[:30]} for {ast.unparse(generator.target)[:20]}"
