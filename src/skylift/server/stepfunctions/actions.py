"""The table of actions: what a request's target names, who may ask for it, what answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from skylift.server.caller import Caller, Role
from skylift.server.context import ServerContext

Handler = Callable[[ServerContext, Caller, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Takes the checked request, gives the answer. Raises ApiError. Timestamps are seconds since 1970 as numbers."""


class Action(msgspec.Struct, frozen=True):
    """One action of the protocol."""

    role: Role
    """The least that may ask for it."""
    handle: Handler


class Actions:
    """Collects a module's actions:

    actions = Actions()

    @actions.add("DescribeActivity", Role.VIEWER)
    async def describe_activity(context, caller, request): ...
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Action] = {}

    def add(self, name: str, role: Role) -> Callable[[Handler], Handler]:
        def register(handle: Handler) -> Handler:
            self.by_name[name] = Action(role, handle)
            return handle

        return register
