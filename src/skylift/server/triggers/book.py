"""Triggers in the ResourceStore."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from skylift.ports.resources import ResourceChanged, ResourceStore
from skylift.server.triggers.trigger import KIND, STATE_KIND, Trigger, TriggerState, key_of

PAGE = 500


class TriggerBook:
    """Reads and writes them. Blocks: call it off the event loop."""

    def __init__(self, resources: ResourceStore) -> None:
        self._resources = resources

    def put(self, trigger: Trigger) -> Trigger:
        """Create or replace; a replaced one keeps the time it was made, and what it has done."""
        before = self.get(trigger.account, trigger.name)
        if before is not None:
            trigger = msgspec.structs.replace(trigger, created_ms=before.created_ms)
        self._resources.put(KIND, trigger.key, msgspec.json.encode(trigger))
        return trigger

    def get(self, account: str, name: str) -> Trigger | None:
        found = self._resources.get(KIND, key_of(account, name))
        return None if found is None else msgspec.json.decode(found.body, type=Trigger)

    def delete(self, account: str, name: str) -> bool:
        self._resources.delete(STATE_KIND, key_of(account, name))
        return self._resources.delete(KIND, key_of(account, name))

    def of(self, account: str) -> list[Trigger]:
        """By name."""
        return [trigger for trigger, _ in self._all(f"{account}/")]

    def everybody(self) -> dict[str, tuple[Trigger, int]]:
        """All accounts' triggers with their revisions, by key."""
        return {trigger.key: (trigger, revision) for trigger, revision in self._all("")}

    def state(self, key: str) -> TriggerState:
        found = self._resources.get(STATE_KIND, key)
        return TriggerState() if found is None else msgspec.json.decode(found.body, type=TriggerState)

    def change_state(self, key: str, change: Callable[[TriggerState], None]) -> TriggerState:
        """Apply a change to the newest state; another server may change it at the same time."""
        while True:
            found = self._resources.get(STATE_KIND, key)
            state = TriggerState() if found is None else msgspec.json.decode(found.body, type=TriggerState)
            change(state)
            try:
                self._resources.put(
                    STATE_KIND, key, msgspec.json.encode(state), expected=0 if found is None else found.revision
                )
            except ResourceChanged:
                continue
            return state

    def _all(self, prefix: str) -> Iterator[tuple[Trigger, int]]:
        after = ""
        while True:
            page = self._resources.list(KIND, prefix, after=after, limit=PAGE)
            for found in page:
                yield msgspec.json.decode(found.body, type=Trigger), found.revision
            if len(page) < PAGE:
                return
            after = page[-1].key
