"""How the states of a flow hang together: targets that exist, states that are reached, ends that can be reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from skylift.asl.document import Choice, Fail, Flow, Map, Parallel, State, Succeed, Task
from skylift.asl.validation.report import NO_LOCATION, Report, escape, show, suggestion


def transitions(state: State) -> Iterable[tuple[str, str]]:
    """Where a state can go: (pointer of the field that says so, name)."""
    if state.next is not None:
        yield f"{state.pointer}/Next", state.next
    if isinstance(state, Choice):
        for rule in state.choices:
            yield f"{rule.pointer}/Next", rule.next
        if state.default is not None:
            yield f"{state.pointer}/Default", state.default
    elif isinstance(state, Task | Parallel | Map):
        for catcher in state.catch:
            yield f"{catcher.pointer}/Next", catcher.next


def is_terminal(state: State) -> bool:
    return state.end or isinstance(state, Succeed | Fail)


def check_graph(flow: Flow, names: frozenset[str], report: Report) -> None:
    """`names` are all states as written, also those that could not be read."""
    edges: dict[str, list[str]] = {}
    if flow.start_at:
        _check_target(f"{flow.pointer}/StartAt", flow.start_at, names, report)
    for name, state in flow.states.items():
        edges[name] = []
        for pointer, target in transitions(state):
            if target:
                _check_target(pointer, target, names, report)
                edges[name].append(target)
    if len(flow.states) < len(names) or not all(map(_leads_on, flow.states.values())):
        return  # what is missing is reported; what follows from it would only distract
    terminal = {name for name, state in flow.states.items() if is_terminal(state)}
    if not terminal:
        _no_terminal(flow, report)
        return
    reached = closure([flow.start_at], edges) if flow.start_at else frozenset(names)
    _check_reached(flow, reached, report)
    _check_ends(flow, reached, terminal, edges, report)


def _leads_on(state: State) -> bool:
    """Whether a state was read well enough to say where it goes."""
    if isinstance(state, Choice):
        return bool(state.choices) and all(rule.next for rule in state.choices)
    return is_terminal(state) or state.next is not None


def _check_target(pointer: str, target: str, names: frozenset[str], report: Report) -> None:
    if target in names:
        return
    guess = suggestion(target, names)
    report.add(
        "MISSING_TARGET",
        pointer,
        f"there is no state {show(target)} in this flow",
        f"{guess[:1].upper()}{guess[1:]}Name a state of the same States object; other flows cannot be entered",
        service_message=f"Missing 'Next' target: {target}",
    )


def _no_terminal(flow: Flow, report: Report) -> None:
    report.add(
        "NO_TERMINAL_STATE",
        flow.pointer,
        "no state ends this flow",
        'Give a state "End": true, or add a Succeed or Fail state',
        service_message="Workflow has no terminal state",
        service_location=NO_LOCATION,
    )


def _check_reached(flow: Flow, reached: frozenset[str], report: Report) -> None:
    for name in flow.states:
        if name not in reached:
            report.add(
                "UNREACHABLE_STATE",
                f"{flow.pointer}/States/{escape(name)}",
                f"no path from {show(flow.start_at)} leads to the state {show(name)}",
                "Lead a transition to it, or remove it",
                service_message=f'State "{name}" is not reachable.',
            )


def _check_ends(
    flow: Flow, reached: frozenset[str], terminal: set[str], edges: Mapping[str, list[str]], report: Report
) -> None:
    """States that can be entered and from which no end can be reached."""
    backwards: dict[str, list[str]] = {}
    for name, targets in edges.items():
        for target in targets:
            backwards.setdefault(target, []).append(name)
    ending = closure(terminal, backwards)
    for name in flow.states:
        if name in reached and name not in ending:
            report.add(
                "NO_WAY_TO_END",
                f"{flow.pointer}/States/{escape(name)}",
                f"once in {show(name)} the flow can never end by itself",
                "Lead a transition to a state that ends, or stop such runs from outside",
            )


def closure(start: Iterable[str], edges: Mapping[str, list[str]]) -> frozenset[str]:
    """All that can be reached from `start`, itself included."""
    seen = set(start)
    waiting = list(seen)
    while waiting:
        for target in edges.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return frozenset(seen)
