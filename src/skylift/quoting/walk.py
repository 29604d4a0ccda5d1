"""From a document and an input to the tree of what a run of it may do.

The document is followed state by state with what is known of its values. Where a Choice depends on what only a task can
tell, the tree branches, or loops, and how often each way is taken comes from the history or from who asks. Errors are
taken not to happen: handlers are not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from skylift.asl.document import Choice, Document, Flow, Map, Parallel, Pass, State, Task, Wait
from skylift.engine.router import worker_of
from skylift.errors import AuthorError
from skylift.quoting import flowgraph as graph
from skylift.quoting import known
from skylift.quoting.known import UNKNOWN, Seen
from skylift.quoting.one_state import arguments_of, finished, in_common, is_true, items_of, pause_of, repeats_of, taken
from skylift.quoting.tree import Beside, Either, Leaf, Loop, Many, Option, Sequence, Times, Tree, sequence

MOST_STATES = 50_000
"""Entered while following; a loop that is longer is not written out."""
APART = 200
"""Items of a Map that are each followed by themselves; of more, one stands for all."""
DEEPEST = 8
"""Pipelines that call pipelines."""
CALLBACK = ".waitForTaskToken"
CALL = ":states:startExecution"


class TooLong(AuthorError):
    """A pipeline that cannot be followed to its end beforehand."""

    code = "QUOTE"


class Facts(Protocol):
    """What the document and the input do not say."""

    def rounds(self, state: str, again: tuple[str, ...]) -> Times:
        """Of a loop that goes on by these ways from the state."""
        ...

    def width(self, state: str) -> Times: ...

    def chances(self, state: str, goes_to: tuple[str, ...]) -> tuple[tuple[float | None, ...], str]:
        """Of each way, and where that is from."""
        ...


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What a step is."""

    task: str | None
    """In the run's table, or the function that it names; None for what no worker of ours does."""
    resource: str
    repeats: int = 0
    """How often the state tries again, at the most, after a failure of the work itself."""
    callback: bool = False


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    tree: Tree
    steps: Mapping[str, Kind]
    """By name, in the order in which they are first entered."""
    notes: tuple[str, ...]


def outline(document: Document, machines: Mapping[str, Document], value: Any, facts: Facts) -> Outline:
    """Of a run with this input. Raises TooLong."""
    walker = _Walker(machines, facts)
    tree = walker.whole(document, value, "", 0)[0]
    return Outline(tree=tree, steps=walker.steps, notes=tuple(dict.fromkeys(walker.notes)))


class _End(msgspec.Struct):
    """Where following a flow came to."""

    tree: Tree
    output: Any
    variables: dict[str, Any]
    at: str | None
    """The stop that was reached; None at an end of the flow."""


class _Place(msgspec.Struct, frozen=True):
    """What stays the same while a flow is followed."""

    flow: Flow
    prefix: str
    depth: int
    item: Any = UNKNOWN
    index: int | None = None


class _Walker:
    def __init__(self, machines: Mapping[str, Document], facts: Facts) -> None:
        self._machines = machines
        self._facts = facts
        self._entered = 0
        self._followed: dict[tuple[int, str], int] = {}
        """Rounds of a loop that were followed so far, of those whose Choice was known: by flow and state."""
        self._rounds: dict[tuple[str, str], bool] = {}
        self.steps: dict[str, Kind] = {}
        self.notes: list[str] = []

    def whole(self, document: Document, value: Any, prefix: str, depth: int) -> tuple[Tree, Any]:
        place = _Place(document.flow, prefix, depth)
        end = self._follow(place, document.flow.start_at, frozenset(), value, {})
        return end.tree, end.output

    def _follow(self, place: _Place, start: str, stops: frozenset[str], value: Any, variables: dict[str, Any]) -> _End:
        parts: list[Tree] = []
        at: str | None = start
        while at is not None and at not in stops:
            self._count(at)
            state = place.flow.states[at]
            seen = Seen(input=value, variables=variables, item=place.item, index=place.index)
            if isinstance(state, Choice):
                part, value, variables, at = self._choose(place, state, stops, seen)
                parts.append(part)
                continue
            part, value, variables = self._step(place, state, seen)
            parts.append(part)
            at = state.next
        return _End(sequence(parts), value, variables, at)

    def _count(self, name: str) -> None:
        self._entered += 1
        if self._entered > MOST_STATES:
            raise TooLong(
                f"more than {MOST_STATES:,} states are entered with this input, at last {name!r}",
                hint="quote it with a smaller input and scale that up",
            )

    # -- states that do something --------------------------------------------------------------------------------------

    def _step(self, place: _Place, state: State, seen: Seen) -> tuple[Tree, Any, dict[str, Any]]:
        raw = seen.input
        if state.query_language == "JSONPath":
            seen.input = known.read_path(state.input_path, seen)
        tree, result = self._work(place, state, seen)
        output, variables = finished(state, raw, result, seen)
        return tree, output, variables

    def _work(self, place: _Place, state: State, seen: Seen) -> tuple[Tree, Any]:
        if isinstance(state, Task):
            return self._task(place, state, seen)
        if isinstance(state, Map):
            return self._map(place, state, seen)
        if isinstance(state, Parallel):
            given = arguments_of(state, seen)
            ends = [self._branch(place, branch, given, seen) for branch in state.branches]
            return Beside(tuple(end.tree for end in ends)), [end.output for end in ends]
        if isinstance(state, Wait):
            return pause_of(place.prefix + state.name, state, seen), seen.input
        if isinstance(state, Pass):
            return Sequence(), arguments_of(state, seen) if state.result is UNSET else state.result
        return Sequence(), seen.input

    def _branch(self, place: _Place, flow: Flow, given: Any, seen: Seen) -> _End:
        inner = _Place(flow, place.prefix, place.depth, place.item, place.index)
        return self._follow(inner, flow.start_at, frozenset(), given, dict(seen.variables))

    def _task(self, place: _Place, state: Task, seen: Seen) -> tuple[Tree, Any]:
        name = place.prefix + state.name
        given = arguments_of(state, seen)
        if CALL in state.resource:
            called = self._called(given)
            if called is not None and place.depth < DEEPEST:
                inner_input = given.get("Input", UNKNOWN) if isinstance(given, dict) else UNKNOWN
                tree, _ = self.whole(called, inner_input, f"{name}/", place.depth + 1)
                return tree, UNKNOWN
        callback = state.resource.endswith(CALLBACK)
        self.steps.setdefault(
            name,
            Kind(
                task=worker_of(state.resource, given),
                resource=state.resource,
                repeats=repeats_of(state),
                callback=callback,
            ),
        )
        return Leaf(name), UNKNOWN

    def _called(self, given: Any) -> Document | None:
        arn = given.get("StateMachineArn") if isinstance(given, dict) else None
        return self._machines.get(arn.rpartition(":")[2]) if isinstance(arn, str) else None

    def _map(self, place: _Place, state: Map, seen: Seen) -> tuple[Tree, Any]:
        name = place.prefix + state.name
        items = items_of(state, seen)
        most = state.max_concurrency if isinstance(state.max_concurrency, int) and state.max_concurrency > 0 else None
        if isinstance(items, list) and state.item_reader is UNSET and state.item_batcher is UNSET:
            if len(items) <= APART and any(item is not UNKNOWN for item in items):
                return self._each(place, state, items, most, seen)
            end = self._iteration(place, state, UNKNOWN, None, seen)
            width = Times(seen=(len(items),), why="from the input")
            return Many(state=name, body=end.tree, width=width, most=most), [UNKNOWN] * len(items)
        end = self._iteration(place, state, UNKNOWN, None, seen)
        return Many(state=name, body=end.tree, width=self._facts.width(name), most=most), UNKNOWN

    def _each(self, place: _Place, state: Map, items: list[Any], most: int | None, seen: Seen) -> tuple[Tree, Any]:
        """Every item by itself; those that go the same way are put together."""
        ends = [self._iteration(place, state, item, index, seen) for index, item in enumerate(items)]
        alike: dict[bytes, tuple[Tree, int]] = {}
        for end in ends:
            key = msgspec.msgpack.encode(end.tree)
            tree, count = alike.get(key, (end.tree, 0))
            alike[key] = (tree, count + 1)
        name = place.prefix + state.name
        parts = tuple(
            Many(state=name, body=tree, width=Times(seen=(count,), why="from the input"), most=most)
            for tree, count in alike.values()
        )
        return (parts[0] if len(parts) == 1 else Beside(parts)), [end.output for end in ends]

    def _iteration(self, place: _Place, state: Map, item: Any, index: int | None, seen: Seen) -> _End:
        inner = _Place(state.item_processor, place.prefix, place.depth, item, index)
        within = Seen(input=seen.input, variables=seen.variables, item=item, index=index)
        given = item
        if state.item_selector is not UNSET:
            given = known.evaluated(state.item_selector, state.query_language, within)
        flow = state.item_processor
        return self._follow(inner, flow.start_at, frozenset(), given, dict(seen.variables))

    # -- choices -------------------------------------------------------------------------------------------------------

    def _choose(
        self, place: _Place, state: Choice, stops: frozenset[str], seen: Seen
    ) -> tuple[Tree, Any, dict[str, Any], str | None]:
        raw = seen.input
        if state.query_language == "JSONPath":
            seen.input = known.read_path(state.input_path, seen)
        for rule in state.choices:
            holds = is_true(rule, state, seen)
            if holds is UNKNOWN:
                return self._open(place, state, stops, seen, raw)
            if holds:
                self._go_on(place, state, rule.next)
                output, variables = taken(state, rule, seen)
                return Sequence(), output, variables, rule.next
        self._go_on(place, state, state.default)
        output, variables = taken(state, None, seen)
        return Sequence(), output, variables, state.default

    def _go_on(self, place: _Place, state: Choice, way: str | None) -> None:
        """Count the rounds of a loop that begins as known and goes on as unknown."""
        if way is None:
            return
        key = (state.pointer, way)
        if key not in self._rounds:
            self._rounds[key] = graph.goes_round(place.flow, way, state.name, frozenset())
        here = (id(place), state.pointer)
        self._followed[here] = self._followed.get(here, 0) + 1 if self._rounds[key] else 0

    def _open(
        self, place: _Place, state: Choice, stops: frozenset[str], seen: Seen, raw: Any
    ) -> tuple[Tree, Any, dict[str, Any], str | None]:
        """Nobody knows yet which way it goes."""
        flow = place.flow
        ways = [name for name in graph.successors(state) if not graph.only_fails(flow, name, stops)]
        if len(ways) < len(graph.successors(state)):
            self.notes.append("errors are taken not to happen: ways that only end in one are left out")
        round_ = [name for name in ways if name not in stops and graph.goes_round(flow, name, state.name, stops)]
        if round_:
            return self._loop(place, state, stops, seen, round_, [name for name in ways if name not in round_])
        if not ways:
            return Sequence(), UNKNOWN, dict(seen.variables), None
        if len(ways) == 1:
            output, variables = self._after(state, ways[0], seen)
            return Sequence(), output, variables, ways[0]
        return self._branches(place, state, stops, seen, ways)

    def _branches(
        self, place: _Place, state: Choice, stops: frozenset[str], seen: Seen, ways: list[str]
    ) -> tuple[Tree, Any, dict[str, Any], str | None]:
        join = graph.meeting(place.flow, ways, stops)
        until = stops if join is None else stops | {join}
        ends = []
        for way in ways:
            output, variables = self._after(state, way, seen)
            ends.append(self._follow(place, way, until, output, variables))
        chances, why = self._facts.chances(place.prefix + state.name, tuple(place.prefix + way for way in ways))
        options = tuple(
            Option(goes_to=way, tree=end.tree, chance=chance)
            for way, end, chance in zip(ways, ends, chances, strict=True)
        )
        tree = Either(state=place.prefix + state.name, options=options, why=why)
        value, variables = ends[0].output, ends[0].variables
        for end in ends[1:]:
            value, variables = known.merged(value, end.output), in_common(variables, end.variables)
        at = join if join is not None else next((end.at for end in ends if end.at is not None), None)
        return tree, value, variables, at

    def _loop(
        self, place: _Place, state: Choice, stops: frozenset[str], seen: Seen, round_: list[str], ways: list[str]
    ) -> tuple[Tree, Any, dict[str, Any], str | None]:
        flow, name = place.flow, place.prefix + state.name
        inside = {
            one
            for way in round_
            for one in graph.reachable(flow, way, {*stops, state.name})
            if graph.goes_round(flow, one, state.name, stops)
        } | {state.name}
        variables = {**seen.variables, **dict.fromkeys(graph.assigned_in(flow, inside), UNKNOWN)}
        until = stops | {one for one in flow.states if one not in inside} | {state.name}
        bodies = [self._follow(place, way, frozenset(until), UNKNOWN, dict(variables)).tree for way in round_]
        body = bodies[0]
        if len(bodies) > 1:
            chances, why = self._facts.chances(name, tuple(place.prefix + way for way in round_))
            options = tuple(
                Option(goes_to=way, tree=tree, chance=chance)
                for way, tree, chance in zip(round_, bodies, chances, strict=True)
            )
            body = Either(state=name, options=options, why=why)
        rounds = self._facts.rounds(name, tuple(place.prefix + way for way in round_))
        done = self._followed.pop((id(place), state.pointer), 0)
        rounds = msgspec.structs.replace(rounds, seen=tuple(max(0, count - done) for count in rounds.seen))
        tree: Tree = Loop(state=name, body=body, rounds=rounds)
        if not ways:
            ways = sorted({one for each in inside for one in graph.successors(flow.states[each]) if one not in inside})
        if len(ways) <= 1:
            return tree, UNKNOWN, variables, ways[0] if ways else None
        after = Seen(variables=variables, item=place.item, index=place.index)
        rest, value, variables, at = self._branches(place, state, stops, after, ways)
        return sequence([tree, rest]), value, variables, at

    def _after(self, state: Choice, way: str, seen: Seen) -> tuple[Any, dict[str, Any]]:
        """What is known when it goes that way."""
        rules = [rule for rule in state.choices if rule.next == way]
        found = [taken(state, rule, seen) for rule in rules]
        if state.default == way:
            found.append(taken(state, None, seen))
        output, variables = found[0]
        for other, others in found[1:]:
            output, variables = known.merged(output, other), in_common(variables, others)
        return output, variables
