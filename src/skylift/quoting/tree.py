"""What a run may do, as far as it is known beforehand: steps one after the other, side by side, or one of several.

The leaves are steps by name; how long one takes is told elsewhere. A count that nobody knows is `None`, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """How often something is done: a number, or what was seen before, each as likely as the other."""

    seen: tuple[float, ...] = ()
    """Empty where nobody knows."""
    why: str
    """Where the numbers are from, or which option supplies them."""

    @property
    def known(self) -> bool:
        return bool(self.seen)

    @property
    def mean(self) -> float | None:
        return sum(self.seen) / len(self.seen) if self.seen else None

    @property
    def least(self) -> float:
        return min(self.seen, default=0)

    @property
    def most(self) -> float | None:
        return max(self.seen, default=None)


class Leaf(msgspec.Struct, frozen=True, tag=True):
    step: str


class Pause(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Time that passes without any work."""

    state: str
    ms: int | None
    why: str = ""


class Sequence(msgspec.Struct, frozen=True, tag=True):
    parts: tuple[Tree, ...] = ()


class Beside(msgspec.Struct, frozen=True, tag=True):
    """All of them at once."""

    parts: tuple[Tree, ...]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    goes_to: str
    tree: Tree
    chance: float | None


class Either(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One of them."""

    state: str
    options: tuple[Option, ...]
    why: str

    @property
    def known(self) -> bool:
        return all(option.chance is not None for option in self.options)


class Loop(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One after the other."""

    state: str
    body: Tree
    rounds: Times


class Many(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """At once, as many as `most` allows."""

    state: str
    body: Tree
    width: Times
    most: int | None = None


Tree = Leaf | Pause | Sequence | Beside | Either | Loop | Many


def sequence(parts: list[Tree]) -> Tree:
    """Without what is empty, nested sequences written out."""
    flat: list[Tree] = []
    for part in parts:
        flat += part.parts if isinstance(part, Sequence) else (part,)
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


def is_empty(tree: Tree) -> bool:
    """Whether nothing in it takes time or money."""
    if isinstance(tree, Sequence | Beside):
        return all(is_empty(part) for part in tree.parts)
    if isinstance(tree, Either):
        return all(is_empty(option.tree) for option in tree.options)
    return isinstance(tree, Loop | Many) and is_empty(tree.body)


def nodes(tree: Tree) -> Iterator[Tree]:
    """It and all below, in the order of the run."""
    yield tree
    inner: tuple[Tree, ...] = ()
    if isinstance(tree, Sequence | Beside):
        inner = tree.parts
    elif isinstance(tree, Either):
        inner = tuple(option.tree for option in tree.options)
    elif isinstance(tree, Loop | Many):
        inner = (tree.body,)
    for part in inner:
        yield from nodes(part)
