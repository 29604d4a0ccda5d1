"""How often each step is done, how many at once, and after which others: the tree of a run, added up by step.

    one after the other   attempts and rounds add up, the widest counts
    side by side          attempts and widths add up, the most rounds count
    one of several        attempts by their chances; of time the slower counts, since either may be taken
    a loop                attempts and rounds times its rounds
    a map                 attempts and width times its items

Expectations multiply expectations: rounds and widths are taken to be independent. What nobody knows leaves "at least".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from skylift.quoting.tree import Beside, Either, Leaf, Loop, Many, Pause, Sequence, Tree


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """Of one step."""

    attempts: float = 1.0
    least: float = 1.0
    most: float | None = 1.0
    """None where nobody can say."""
    rounds: float = 1.0
    rounds_high: float = 1.0
    width: float = 1.0
    at_once: int | None = None
    open: tuple[str, ...] = ()
    """What is not known of these numbers: they are at least that."""


Shares = dict[str, Share]


def shares(tree: Tree) -> Shares:
    if isinstance(tree, Leaf):
        return {tree.step: Share()}
    if isinstance(tree, Pause):
        return {}
    if isinstance(tree, Sequence):
        return _joined((shares(part) for part in tree.parts), _then)
    if isinstance(tree, Beside):
        return _joined((shares(part) for part in tree.parts), _beside)
    if isinstance(tree, Either):
        return _either(tree)
    if isinstance(tree, Loop):
        rounds = tree.rounds
        mean, high = rounds.mean, rounds.most
        asks = () if rounds.known else (rounds.why,)
        return {
            step: msgspec.structs.replace(
                one,
                attempts=one.attempts * (mean or 0.0),
                least=one.least * rounds.least,
                most=_product(one.most, high),
                rounds=one.rounds * (mean or 0.0),
                rounds_high=one.rounds_high * (high or 0.0),
                open=(*one.open, *asks),
            )
            for step, one in shares(tree.body).items()
        }
    return _many(tree)


def _many(tree: Many) -> Shares:
    width = tree.width
    asks = () if width.known else (width.why,)
    found: Shares = {}
    for step, one in shares(tree.body).items():
        limits = [limit for limit in (one.at_once, tree.most) if limit is not None]
        found[step] = msgspec.structs.replace(
            one,
            attempts=one.attempts * (width.mean or 0.0),
            least=one.least * width.least,
            most=_product(one.most, width.most),
            width=one.width * (width.most or 0.0),
            at_once=min(limits, default=None),
            open=(*one.open, *asks),
        )
    return found


def _either(tree: Either) -> Shares:
    found: Shares = {}
    for option in tree.options:
        chance = option.chance
        asks = () if chance is not None else (tree.why,)
        for step, one in shares(option.tree).items():
            part = msgspec.structs.replace(
                one,
                attempts=one.attempts * (1.0 if chance is None else chance),
                least=one.least if chance == 1 else 0.0,
                open=(*one.open, *asks),
            )
            found[step] = part if step not in found else _beside(found[step], part)
    return found


def _joined(parts: Iterable[Shares], join: Callable[[Share, Share], Share]) -> Shares:
    found: Shares = {}
    for part in parts:
        for step, one in part.items():
            found[step] = one if step not in found else join(found[step], one)
    return found


def _then(one: Share, other: Share) -> Share:
    return _added(one, other, one.rounds + other.rounds, one.rounds_high + other.rounds_high, max)


def _beside(one: Share, other: Share) -> Share:
    high = max(one.rounds_high, other.rounds_high)
    return _added(one, other, max(one.rounds, other.rounds), high, lambda a, b: a + b)


def _added(
    one: Share, other: Share, rounds: float, rounds_high: float, widths: Callable[[float, float], float]
) -> Share:
    limits = [limit for limit in (one.at_once, other.at_once) if limit is not None]
    return Share(
        attempts=one.attempts + other.attempts,
        least=one.least + other.least,
        most=None if one.most is None or other.most is None else one.most + other.most,
        rounds=rounds,
        rounds_high=rounds_high,
        width=widths(one.width, other.width),
        at_once=max(limits, default=None),
        open=tuple(dict.fromkeys((*one.open, *other.open))),
    )


def _product(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one * other


def order(tree: Tree) -> dict[str, tuple[str, ...]]:
    """After which steps each begins: those that may have ended just before it when it is first entered."""
    after: dict[str, tuple[str, ...]] = {}
    _walk(tree, (), after)
    return after


def _walk(tree: Tree, before: tuple[str, ...], after: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What may have ended last, after it."""
    if isinstance(tree, Leaf):
        if tree.step not in after:
            after[tree.step] = tuple(name for name in before if name != tree.step)
        return (tree.step,)
    if isinstance(tree, Pause):
        return before
    if isinstance(tree, Sequence):
        for part in tree.parts:
            before = _walk(part, before, after)
        return before
    if isinstance(tree, Beside):
        return _merged(before, [_walk(part, before, after) for part in tree.parts])
    if isinstance(tree, Either):
        return _merged(before, [_walk(option.tree, before, after) for option in tree.options])
    ended = _walk(tree.body, before, after)
    return ended or before


def _merged(before: tuple[str, ...], ends: list[tuple[str, ...]]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(name for end in ends for name in end))
    return found or before


def paused_ms(tree: Tree) -> tuple[float, tuple[str, ...]]:
    """Time in which nothing works, on the longest way, and what is not known of it."""
    if isinstance(tree, Pause):
        return (float(tree.ms or 0), () if tree.ms is not None else (tree.why,))
    if isinstance(tree, Leaf):
        return 0.0, ()
    if isinstance(tree, Loop):
        inner, asks = paused_ms(tree.body)
        return inner * (tree.rounds.mean or 0.0), asks
    if isinstance(tree, Many):
        return paused_ms(tree.body)
    parts = tree.parts if isinstance(tree, Sequence | Beside) else tuple(option.tree for option in tree.options)
    found = [paused_ms(part) for part in parts]
    total = sum(ms for ms, _ in found) if isinstance(tree, Sequence) else max((ms for ms, _ in found), default=0.0)
    return total, tuple(ask for _, asks in found for ask in asks)
