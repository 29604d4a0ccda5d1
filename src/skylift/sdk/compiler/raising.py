"""Errors inside the graph: where an error that the graph itself raises goes, and the way out through `finally`."""

from __future__ import annotations

import ast
import builtins
from typing import Any

from skylift.sdk.compiler.body import Body, FinallyFrame, Handler, LoopFrame, TryFrame, choice, sequence
from skylift.sdk.compiler.dispatch import execute
from skylift.sdk.compiler.flow import State, setter
from skylift.sdk.compiler.value import expression, text

RESULT = "{% $states.errorOutput %}"
_BUILTIN_ERRORS = frozenset(
    value
    for value in vars(builtins).values()
    if isinstance(value, type) and issubclass(value, Exception) and not issubclass(value, Warning)
)
_TIMEOUTS = ("States.Timeout", "States.HeartbeatTimeout")


def flush(body: Body, node: ast.AST) -> None:
    """Raise what may have gone wrong in the expressions compiled so far, before anything else happens."""
    if not body.problems:
        return
    body.need_states(node, "an operation that may fail")
    problem = sequence(body.problems)
    body.problems.clear()
    state, rule = choice(f"({problem.code}) != null")
    line = getattr(node, "lineno", 0)
    body.flow.add(f"check line {line}", state, node)
    after = setter(state, "Default")
    name = _error_variable(body)
    rule["Assign"] = {name: expression(problem.code)}
    body.flow.join([setter(rule, "Next")])
    throw(body, name, problem.names, node)
    body.flow.join([after])


def throw(body: Body, error: str, names: frozenset[str] | None, node: ast.AST | None) -> None:
    """Take the open ends to whoever handles the error in variable `error`. `names`: its possible classes, if known."""
    remaining = names
    for index in range(len(body.frames) - 1, -1, -1):
        frame = body.frames[index]
        if isinstance(frame, TryFrame):
            for handler in frame.handlers:
                remaining = _offer(body, handler, error, remaining, node)
                if not body.flow.reachable:
                    return
        elif isinstance(frame, FinallyFrame):
            run_finally(body, frame, index)
            if not body.flow.reachable:
                return
    _fail(body, error, remaining, node)


def leave(body: Body, down_to: int) -> None:
    """Run the `finally` blocks between here and frame number `down_to`: for return, break and continue."""
    for index in range(len(body.frames) - 1, down_to - 1, -1):
        frame = body.frames[index]
        if isinstance(frame, FinallyFrame) and body.flow.reachable:
            run_finally(body, frame, index)


def run_finally(body: Body, frame: FinallyFrame, index: int) -> None:
    """Write the block out here, seeing only the frames around its `try`."""
    frames, bound = body.frames, set(body.bound)
    body.frames = frames[:index]
    try:
        for statement in frame.statements:
            if body.flow.reachable:
                execute(body, statement)
    finally:
        body.frames, body.bound = frames, bound


def catchers(body: Body) -> list[State]:
    """The Catch of a state here: every handler around it, innermost first."""
    entries: list[State] = []
    for frame in reversed(body.frames):
        if isinstance(frame, LoopFrame):
            continue
        if isinstance(frame, FinallyFrame):
            entries.append(_catcher(("States.ALL",), frame.error, frame.label))
            return entries
        for handler in frame.handlers:
            if handler.catches_all:
                entries.append(_catcher(("States.ALL",), handler.error, handler.label))
                return entries
            entries.append(_catcher(caught_names(body, handler.classes), handler.error, handler.label))
    return entries


def caught_names(body: Body, classes: tuple[type[BaseException], ...]) -> tuple[str, ...]:
    """Error names that a handler answers to. Our engine knows base classes of what a task raised; other States Language
    engines, and errors that a graph raises, have one name only: so known subclasses are listed."""
    names = [cls.__name__ for cls in classes]
    names += sorted(cls.__name__ for cls in known_errors(body) if issubclass(cls, classes))
    if issubclass(TimeoutError, classes):
        names += _TIMEOUTS
    return tuple(dict.fromkeys(names))


def known_errors(body: Body) -> set[type[BaseException]]:
    """Exception classes that this graph can raise itself, and those of the modules it and its tasks are written in."""
    found = set(body.unit.raised)
    found |= _BUILTIN_ERRORS
    functions = [body.unit.source.function, body.source.function]
    functions += [called.function for called in (*body.unit.tasks.values(), *body.unit.pipelines.values())]
    modules = {id(function.__globals__): function.__globals__ for function in functions}
    for names in modules.values():
        found |= {value for value in names.values() if isinstance(value, type) and issubclass(value, BaseException)}
    return found


def error_class(body: Body, name: str) -> type[BaseException] | None:
    found: Any = getattr(builtins, name, None)
    if isinstance(found, type) and issubclass(found, BaseException):
        return found
    return next((cls for cls in known_errors(body) if cls.__name__ == name), None)


def _offer(
    body: Body, handler: Handler, error: str, names: frozenset[str] | None, node: ast.AST | None
) -> frozenset[str] | None:
    """Send what this handler catches to it; what it does not catch stays open."""
    if handler.catches_all:
        _hand_over(body, handler, error, node)
        return frozenset()
    caught = set(caught_names(body, handler.classes))
    if names is not None:
        matching = {name for name in names if _is_caught(body, name, handler)}
        if not matching:
            return names
        if matching == names:
            _hand_over(body, handler, error, node)
            return frozenset()
        caught = matching
    listed = ", ".join(text(name) for name in sorted(caught))
    state, rule = choice(f"${error}.Error in [{listed}]")
    body.flow.add(f"except {'/'.join(cls.__name__ for cls in handler.classes)}?", state, node)
    body.flow.join([setter(rule, "Next")])
    _hand_over(body, handler, error, node)
    body.flow.join([setter(state, "Default")])
    return None if names is None else names - caught


def _is_caught(body: Body, name: str, handler: Handler) -> bool:
    cls = error_class(body, name)
    return issubclass(cls, handler.classes) if cls is not None else name in caught_names(body, handler.classes)


def _hand_over(body: Body, handler: Handler, error: str, node: ast.AST | None) -> None:
    if handler.error != error:
        body.assign("caught", {handler.error: f"{{% ${error} %}}"}, node)
    body.flow.jump(handler.label)


def _fail(body: Body, error: str, names: frozenset[str] | None, node: ast.AST | None) -> None:
    line = getattr(node, "lineno", None)
    place = f" (line {line})" if line else ""
    name = next(iter(names)) if names is not None and len(names) == 1 else "raise"
    state = {"Type": "Fail", "Error": f"{{% ${error}.Error %}}", "Cause": f"{{% ${error}.Cause %}}"}
    body.flow.add(f"{name}{place}", state, node)


def _error_variable(body: Body) -> str:
    for frame in reversed(body.frames):
        if isinstance(frame, TryFrame) and frame.handlers:
            return frame.handlers[0].error
        if isinstance(frame, FinallyFrame):
            return frame.error
    return error_of_flow(body)


def error_of_flow(body: Body) -> str:
    """One variable for all errors that leave this flow."""
    flow = body.flow
    if flow.error is None:
        flow.error = body.temporary("error")
    return flow.error


def _catcher(names: tuple[str, ...], error: str, label: Any) -> State:
    entry: State = {"ErrorEquals": list(names), "Assign": {error: RESULT}}
    label.connect(setter(entry, "Next"))
    return entry
