"""GetExecutionHistory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext
from skylift.server.stepfunctions.actions import Actions
from skylift.server.stepfunctions.history_events import without_data
from skylift.server.stepfunctions.lookup import Execution, does_not_exist, find_execution, quick
from skylift.server.stepfunctions.paging import invalid_token, make_token, page_size, read_token
from skylift.server.stepfunctions.replays import Replay, Replays, Thread, replays

actions = Actions()

MOST_BYTES = 4 * 1024 * 1024
"""About the largest page, however few events are on it."""


@actions.add("GetExecutionHistory", Role.VIEWER)
async def get_execution_history(context: ServerContext, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    execution = await quick(context, find_execution, context.journal, caller, request["executionArn"])
    kept = context.part(replays)
    return await context.blocking(_page, kept, execution, caller, request)


def thread_of(replay: Replay, execution: Execution) -> Thread:
    """The execution's own history. Raises ExecutionDoesNotExist for a child execution that there is not."""
    if execution.child is None:
        return replay.root
    thread = replay.children.get(execution.child)
    if thread is None:
        raise does_not_exist(execution.arn)
    return thread


def _page(kept: Replays, execution: Execution, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
    reverse = request.get("reverseOrder", False)
    scope = ["GetExecutionHistory", caller.account, execution.arn, str(reverse)]
    after = read_token(scope, request["nextToken"]) if "nextToken" in request else None
    if after is not None and (not isinstance(after, int) or after < 1):
        raise invalid_token()
    most = page_size(request)

    def cut(replay: Replay) -> tuple[list[bytes], int | None]:
        events = thread_of(replay, execution).events
        return _backwards(events, after, most) if reverse else _forwards(events, after or 0, most)

    texts, last = kept.look(execution.record, cut)
    answer: dict[str, Any] = {"events": _shown(texts, request.get("includeExecutionData", True))}
    if last is not None:
        answer["nextToken"] = make_token(scope, last)
    return answer


def _forwards(events: list[bytes], after: int, most: int) -> tuple[list[bytes], int | None]:
    """Events from the one that follows number `after`, and the last one's number if more follow."""
    texts = _fitting(events[after : after + most])
    last = after + len(texts)
    return texts, last if last < len(events) else None


def _backwards(events: list[bytes], before: int | None, most: int) -> tuple[list[bytes], int | None]:
    """Events from the one before number `before`, and the last one's number if more follow."""
    end = len(events) if before is None else min(before - 1, len(events))
    texts = _fitting(events[max(0, end - most) : end][::-1])
    last = end - len(texts) + 1
    return texts, last if last > 1 else None


def _fitting(events: list[bytes]) -> list[bytes]:
    """As many as a page holds, one at least."""
    size = 0
    for count, text in enumerate(events):
        size += len(text)
        if size > MOST_BYTES and count:
            return events[:count]
    return events


def _shown(texts: Iterable[bytes], data: bool) -> list[Any]:
    if data:
        return [msgspec.Raw(text) for text in texts]
    return [without_data(msgspec.json.decode(text)) for text in texts]
