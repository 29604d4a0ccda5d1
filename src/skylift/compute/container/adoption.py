"""What engines before this one have left: found again by token, from what the folders of attempts say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from skylift.compute.attempts import AttemptFolder, AttemptFolders
from skylift.compute.container.place import container_name
from skylift.compute.gangs import MEMBER
from skylift.ports.compute import Cancelled, Lost, TaskCall

_SIZE = "WORLD_SIZE"


def find_left(
    folders: AttemptFolders, tokens: Mapping[str, int], *, existing: Callable[[], set[str]]
) -> dict[str, list[AttemptFolder]]:
    """Folders by token, those of a gang's members in the order of their ranks. With each token the delivery that it is
    given out for now: what was lost or cancelled, or was an earlier delivery, is not to be found. `existing`: names of
    the containers there are."""
    found: dict[str, list[AttemptFolder]] = {}
    for token, delivery in tokens.items():
        left = _left(folders, token)
        if left and not any(_runs_anew(folder, delivery) for folder in left):
            found[token] = left
    _forget_unstarted(found, existing)
    return found


def call_of(token: str, folders: Sequence[AttemptFolder]) -> tuple[TaskCall, int] | None:
    """The call that was given out, and when a place was asked for it; None where nobody can say any more."""
    order = folders[0].order
    if order is None:
        return None
    needs = order.call.requirements
    size = _size_of(order.call) if MEMBER in order.call.token else 1
    needs = msgspec.structs.replace(needs, nodes=size)
    return msgspec.structs.replace(order.call, token=token, requirements=needs), order.asked_ms


def _size_of(member: TaskCall) -> int:
    """Of its gang. Its order lies where its own code can write."""
    text = member.requirements.env.get(_SIZE, "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 1


def _runs_anew(folder: AttemptFolder, delivery: int) -> bool:
    outcome, order = folder.outcome(), folder.order
    if isinstance(outcome, Lost | Cancelled):
        return True
    return outcome is not None and order is not None and order.call.delivery < delivery


def _left(folders: AttemptFolders, token: str) -> list[AttemptFolder]:
    alone = folders.find(token)
    if alone is not None:
        return [alone]
    first = folders.find(f"{token}{MEMBER}0")
    if first is None or first.order is None:
        return []
    size = _size_of(first.order.call)
    others = [folders.find(f"{token}{MEMBER}{rank}") for rank in range(1, size)]
    return [first, *(folder for folder in others if folder is not None)]


def _forget_unstarted(found: dict[str, list[AttemptFolder]], existing: Callable[[], set[str]]) -> None:
    """An engine may have died between a folder and its container: then there is nothing to adopt. A container that
    still comes finds no folder."""
    every = [folder for folders in found.values() for folder in folders]
    doubtful = [folder for folder in every if not folder.started and folder.outcome() is None]
    if not doubtful:
        return
    there = existing()
    for token, folders in list(found.items()):
        gone = [folder for folder in folders if folder in doubtful and container_name(folder) not in there]
        if gone:
            for folder in folders:
                folder.ask_to_stop()
            for folder in gone:
                folder.remove()
            del found[token]
