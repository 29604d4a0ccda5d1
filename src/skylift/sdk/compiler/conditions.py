"""What is decided: `and`, `or`, `not`, comparison chains, `a if c else b`; with task calls inside as control flow."""

from __future__ import annotations

import ast

from skylift.sdk.compiler import operators as op
from skylift.sdk.compiler import types as t
from skylift.sdk.compiler.body import Body, choice
from skylift.sdk.compiler.dispatch import expr, expression
from skylift.sdk.compiler.flow import setter
from skylift.sdk.compiler.raising import flush
from skylift.sdk.compiler.steps_in import has_steps
from skylift.sdk.compiler.value import Value, template, variable


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
