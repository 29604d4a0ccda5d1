"""if, while, for, break, continue: Choice states and edges back."""

from __future__ import annotations

import ast

from skylift.sdk.compiler.assignment import assign, note, store, unpack
from skylift.sdk.compiler.body import Body, FinallyFrame, LoopFrame, TryFrame, choice
from skylift.sdk.compiler.conditions import condition
from skylift.sdk.compiler.dispatch import statement
from skylift.sdk.compiler.flow import Label, State, setter
from skylift.sdk.compiler.iteration import iterable, range_bounds
from skylift.sdk.compiler.raising import flush, leave
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.statements import run_block
from skylift.sdk.compiler.value import Value, expression, template, variable


@statement(ast.If)
def _if(body: Body, node: ast.If) -> None:
    test = condition(body, node.test)
    flush(body, node.test)
    if test in ("true", "false"):
        run_block(body, node.body if test == "true" else node.orelse)
        return
    state, rule = choice(test)
    body.flow.add(_named("if", node.test), state, node)
    before = set(body.bound)
    body.flow.join([setter(rule, "Next")])
    run_block(body, node.body)
    first_bound, first_open, first = body.bound, body.flow.reachable, body.flow.take()
    body.bound = before
    body.flow.join([setter(state, "Default")])
    run_block(body, node.orelse)
    if not body.flow.reachable:
        body.bound = first_bound
    elif first_open:
        body.bound = body.bound & first_bound
    body.flow.join(first)


@statement(ast.While)
def _while(body: Body, node: ast.While) -> None:
    loop = LoopFrame(head=Label(), after=Label(), bound_at_break=[])
    body.flow.place(loop.head)
    test = condition(body, node.test)
    flush(body, node.test)
    done: State | None = None
    if test != "true":
        done, rule = choice(test)
        body.flow.add(_named("while", node.test), done, node)
        body.flow.join([setter(rule, "Next")])
    _loop(body, node, loop, done)


@statement(ast.For)
def _for(body: Body, node: ast.For) -> None:
    loop = LoopFrame(head=Label(), after=Label(), bound_at_break=[])
    if isinstance(node.iter, ast.Call) and body.resolve(node.iter.func) is range and isinstance(node.target, ast.Name):
        step = range_bounds(body, node.iter)[2] if len(node.iter.args) == 3 else None
        if step is None or step.is_constant:
            body.problems.clear() if step is not None else None
            _count(body, node, loop)
            return
        body.problems.clear()
    _walk(body, node, loop)


@statement(ast.Break)
def _break(body: Body, node: ast.Break) -> None:
    loop, index = _innermost(body, node)
    leave(body, index + 1)
    loop.bound_at_break.append(set(body.bound))
    body.flow.jump(loop.after)


@statement(ast.Continue)
def _continue(body: Body, node: ast.Continue) -> None:
    loop, index = _innermost(body, node)
    leave(body, index + 1)
    body.flow.jump(loop.head)


def _count(body: Body, node: ast.For, loop: LoopFrame) -> None:
    """`for i in range(...)`: a counter."""
    assert isinstance(node.iter, ast.Call)
    assert isinstance(node.target, ast.Name)
    start, stop, step = range_bounds(body, node.iter)
    flush(body, node.iter)
    counter, end = body.temporary("next_" + node.target.id), ""
    begin = {counter: template(start)}
    if not stop.is_constant:
        end = body.temporary("stop_" + node.target.id)
        begin[end] = template(stop)
    body.assign(_named("for", node), begin, node)
    body.flow.place(loop.head)
    sign = "<" if step.constant > 0 else ">"
    state, rule = choice(f"${counter} {sign} {f'${end}' if end else stop.operand}")
    name = body.unit.variable(node.target.id)
    sum_ = f"${counter} + {step.constant}" if step.constant > 0 else f"${counter} - {-step.constant}"
    rule["Assign"] = {name: f"{{% ${counter} %}}", counter: expression(sum_)}
    body.flow.add(_named("for", node, "more"), state, node)
    body.flow.join([setter(rule, "Next")])
    before = set(body.bound)
    note(body, node.target.id, start)
    _loop(body, node, loop, state, before)


def _walk(body: Body, node: ast.For, loop: LoopFrame) -> None:
    """`for x in values`: an index into the list, which is computed once."""
    items = iterable(body, node.iter)
    flush(body, node.iter)
    hint = node.target.id if isinstance(node.target, ast.Name) else "item"
    values, index = body.temporary(f"{hint}_values"), body.temporary(f"{hint}_index")
    body.assign(_named("for", node), {values: template(items), index: 0}, node)
    body.flow.place(loop.head)
    state, rule = choice(f"${index} < $count(${values})")
    body.flow.add(_named("for", node, "more"), state, node)
    body.flow.join([setter(rule, "Next")])
    before = set(body.bound)
    element = Value(code=f"${values}[${index}]", type=items.type.element(), sources=items.sources)
    further = {index: expression(f"${index} + 1")}
    if isinstance(node.target, ast.Name):
        name = body.unit.variable(node.target.id)
        rule["Assign"] = {name: expression(element.code), **further}
        note(body, node.target.id, element)
    else:
        current = body.temporary("item")
        rule["Assign"] = {current: expression(element.code), **further}
        _assign_target(body, node, variable(current, element.type, element.sources))
    _loop(body, node, loop, state, before)


def _assign_target(body: Body, node: ast.For, value: Value) -> None:
    pairs: list[tuple[ast.expr, Value]] = []
    unpack(body, node.target, value, node, pairs)
    flush(body, node)
    names = {target.id: item for target, item in pairs if isinstance(target, ast.Name)}
    if len(names) == len(pairs):
        store(body, names, node)
        return
    for target, item in pairs:
        assign(body, target, item, node)


def _loop(
    body: Body, node: ast.While | ast.For, loop: LoopFrame, done: State | None, before: set[str] | None = None
) -> None:
    """The loop's block, the way back to its head, and its `else`."""
    at_head = set(body.bound) if before is None else before
    body.frames = [*body.frames, loop]
    run_block(body, node.body)
    body.flow.jump(loop.head)
    body.frames = body.frames[:-1]
    body.bound = set(at_head)
    if done is not None:
        body.flow.join([setter(done, "Default")])
        run_block(body, node.orelse)
    bounds = [*loop.bound_at_break, *([set(body.bound)] if body.flow.reachable else [])]
    body.flow.place(loop.after)
    body.bound = set.intersection(*bounds) if bounds else at_head


def _innermost(body: Body, node: ast.stmt) -> tuple[LoopFrame, int]:
    for index in range(len(body.frames) - 1, -1, -1):
        frame = body.frames[index]
        if isinstance(frame, LoopFrame):
            return frame, index
        assert isinstance(frame, (TryFrame, FinallyFrame))
    raise Refusal(node, "this is not inside a loop", "remove it")


def _named(word: str, node: ast.AST, more: str = "") -> str:
    if isinstance(node, ast.For):
        shown = f"{ast.unparse(node.target)} in {ast.unparse(node.iter)}"
    else:
        shown = ast.unparse(node)
    return f"{word} {shown[:46]}{' ' + more if more else ''} (line {getattr(node, 'lineno', 0)})"
