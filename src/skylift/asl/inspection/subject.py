"""The state under test: found in the definition, compiled alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skylift.asl.diagnostics import Diagnostic, service_refusal
from skylift.asl.document import Flow, Map, Parallel, State
from skylift.asl.inspection.request import UNNAMED, Refused
from skylift.asl.parse import parse, parse_state

INVALID_DEFINITION = "InvalidDefinition"


def find_subject(definition: str, name: str | None) -> State:
    """The state to test: the one called `name` in a whole definition, or the definition itself. Raises Refused."""
    if name is None:
        alone = parse_state(definition, UNNAMED)
        if alone.state is None:
            raise _invalid(alone.diagnostics)
        return alone.state
    parsed = parse(definition)
    if parsed.document is None:
        raise _invalid(parsed.diagnostics)
    for state in states_within([parsed.document.flow]):
        if state.name == name:
            return state
    raise Refused("ValidationException", "State not found in definition")


def states_within(flows: Iterable[Flow]) -> Iterator[State]:
    """Every state of the flows and of those inside them, outer ones first."""
    waiting = list(flows)
    while waiting:
        inner: list[Flow] = []
        for flow in waiting:
            for state in flow.states.values():
                yield state
                inner.extend(flows_of(state))
        waiting = inner


def flows_of(state: State) -> tuple[Flow, ...]:
    """The branches of a Parallel, the processor of a Map."""
    if isinstance(state, Map):
        return (state.item_processor,)
    return state.branches if isinstance(state, Parallel) else ()


def _invalid(found: Iterable[Diagnostic]) -> Refused:
    return Refused(INVALID_DEFINITION, service_refusal(found))
