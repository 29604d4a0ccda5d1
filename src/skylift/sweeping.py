"""Ending what has outlived its lease, whoever made it, also after the engine that made it is gone for good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from skylift.errors import SkyliftError
from skylift.ports.compute import Leased


class Holder(Protocol):
    """What makes things that carry leases: a backend, or whoever keeps boxes."""

    def leased(self) -> Sequence[Leased]: ...

    def end(self, leased: Sequence[Leased]) -> None: ...


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A holder that could not be asked, or could not end something."""

    backend: str
    problem: str


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep found and did."""

    left: tuple[Leased, ...] = ()
    """Within their leases: they stay."""
    over: tuple[Leased, ...] = ()
    """Past their leases: they were ended, unless it was only to be looked, or `troubles` says why they were not."""
    troubles: tuple[Trouble, ...] = ()


def look(holders: Mapping[str, Holder], now_ms: int) -> Swept:
    """What there is. Touches nothing."""
    return _joined(_of(name, holder, now_ms) for name, holder in holders.items())


def sweep(holders: Mapping[str, Holder], now_ms: int) -> Swept:
    """End what is past its lease. A holder that fails does not keep the others from being swept."""
    return _joined(_swept(name, holder, now_ms) for name, holder in holders.items())


def _of(name: str, holder: Holder, now_ms: int) -> Swept:
    try:
        found = sorted(holder.leased(), key=lambda one: (one.until_ms, one.id))
    except Exception as problem:  # noqa: BLE001  # an engine or a cloud that does not answer, in any of its ways
        return Swept(troubles=(Trouble(backend=name, problem=f"cannot be asked: {_words(problem)}"),))
    return Swept(
        left=tuple(one for one in found if one.until_ms > now_ms),
        over=tuple(one for one in found if one.until_ms <= now_ms),
    )


def _swept(name: str, holder: Holder, now_ms: int) -> Swept:
    """Each on its own, so that one that cannot be ended does not keep the next one alive; and only if its lease is
    still over: ending takes time, in which an engine that hung may have renewed what comes next."""
    found = _of(name, holder, now_ms)
    troubles, renewed = list(found.troubles), set[str]()
    for number, one in enumerate(found.over):
        try:
            if number and _is_renewed(holder, one):
                renewed.add(one.id)
                continue
            holder.end([one])
        except Exception as problem:  # noqa: BLE001  # as above
            troubles.append(Trouble(backend=name, problem=f"{one.kind} {one.id} cannot be ended: {_words(problem)}"))
    return Swept(
        left=(*found.left, *(one for one in found.over if one.id in renewed)),
        over=tuple(one for one in found.over if one.id not in renewed),
        troubles=tuple(troubles),
    )


def _is_renewed(holder: Holder, one: Leased) -> bool:
    return any(now.id == one.id and now.until_ms > one.until_ms for now in holder.leased())


def _joined(parts: Iterable[Swept]) -> Swept:
    all_of_them = list(parts)
    return Swept(
        left=tuple(one for part in all_of_them for one in part.left),
        over=tuple(one for part in all_of_them for one in part.over),
        troubles=tuple(one for part in all_of_them for one in part.troubles),
    )


def _words(problem: Exception) -> str:
    if isinstance(problem, SkyliftError):
        return f"{problem.message} ({problem.hint})" if problem.hint else problem.message
    return f"{type(problem).__name__}: {problem}"
