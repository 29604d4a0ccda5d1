"""Which states of a flow lead where: loops, where branches meet again, what can only fail."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from skylift.asl.document import Choice, Fail, Flow, Map, Parallel, State, Task


def successors(state: State) -> tuple[str, ...]:
    """Without error handlers: they count as not taken."""
    if isinstance(state, Choice):
        named = [rule.next for rule in state.choices]
        return tuple(dict.fromkeys([*named, state.default] if state.default is not None else named))
    return () if state.next is None else (state.next,)


def reachable(flow: Flow, start: str, stops: Collection[str]) -> set[str]:
    """From a state on, itself included, not beyond the stops."""
    found: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in found or name in stops:
            continue
        found.add(name)
        todo += successors(flow.states[name])
    return found


def goes_round(flow: Flow, start: str, back: str, stops: Collection[str]) -> bool:
    """Whether a way from `start` comes back to `back`."""
    if start == back:
        return True
    return any(back in successors(flow.states[name]) for name in reachable(flow, start, {*stops, back}))


def only_fails(flow: Flow, start: str, stops: Collection[str]) -> bool:
    """Whether every way from there ends in a failure that nothing catches, before any work is done."""
    if start in stops:
        return False
    found = reachable(flow, start, stops)
    ends = [flow.states[name] for name in found]
    if any(isinstance(state, Task | Map | Parallel) for state in ends):
        return False
    leaving = any(target in stops for state in ends for target in successors(state))
    return not leaving and all(isinstance(state, Fail) for state in ends if not successors(state))


def meeting(flow: Flow, starts: Iterable[str], stops: Collection[str]) -> str | None:
    """The first state that all ways from these go through; None if they end, or stop, apart."""
    ways = [_common(flow, start, stops) for start in starts]
    shared = set.intersection(*(set(way) for way in ways)) if ways else set()
    return next((name for name in ways[0] if name in shared), None) if ways else None


def _common(flow: Flow, start: str, stops: Collection[str]) -> list[str]:
    """What every way from `start` to an end goes through, in order: a state is on it if without it no end is
    reached. Failures are no ends."""
    if start in stops:
        return [start]
    whole = reachable(flow, start, stops)
    candidates = [start, *(name for name in _in_order(flow, start, stops) if name != start)]
    edges = {target for name in whole for target in successors(flow.states[name]) if target in stops}
    found = []
    for name in [*candidates, *sorted(edges)]:
        if not _ends(flow, start, {*stops} - {name}, name, stops):
            found.append(name)
    return found


def _ends(flow: Flow, start: str, rest: Collection[str], without: str, stops: Collection[str]) -> bool:
    """Whether an end or a stop is reached that way."""
    if start == without:
        return False
    seen = reachable(flow, start, {*stops, without})
    for name in seen:
        state = flow.states[name]
        if isinstance(state, Fail):
            continue
        after = successors(state)
        if not after or any(target in rest for target in after):
            return True
    return False


def _in_order(flow: Flow, start: str, stops: Collection[str]) -> list[str]:
    """Breadth first."""
    order: list[str] = []
    level = [start]
    while level:
        order += level
        level = list(
            dict.fromkeys(
                target
                for name in level
                for target in successors(flow.states[name])
                if target not in stops and target not in order
            )
        )
    return order


def assigned_in(flow: Flow, names: Iterable[str]) -> set[str]:
    """Variables that any of these states gives a value."""
    found: set[str] = set()
    for name in names:
        state = flow.states[name]
        holders = [state, *(state.choices if isinstance(state, Choice) else ())]
        for holder in holders:
            assign = getattr(holder, "assign", None)
            if isinstance(assign, dict):
                found |= {key.removesuffix(".$") for key in assign}
    return found
