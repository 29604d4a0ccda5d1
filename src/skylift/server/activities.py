"""Activities: what is stored of them. Their tasks are offers in the journal, under the activity's ARN."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from skylift.ports.resources import ACTIVITY, ResourceChanged, ResourceStore


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """A task that workers outside ask for."""

    arn: str
    """`arn:aws:states:REGION:ACCOUNT:activity:NAME`."""
    name: str
    account: str
    created_ms: int
    encryption: dict[str, Any] | None = None
    tags: dict[str, str] = {}


class Activities:
    """The activities of all accounts in a ResourceStore. Methods block for as long as the store does."""

    def __init__(self, resources: ResourceStore) -> None:
        self._resources = resources

    def get(self, arn: str, account: str) -> Activity | None:
        """None too for one of another account."""
        stored = self._resources.get(ACTIVITY, arn)
        found = None if stored is None else msgspec.json.decode(stored.body, type=Activity)
        return found if found is not None and found.account == account else None

    def create(self, activity: Activity) -> Activity:
        """This one, or the one that was there before."""
        try:
            self._resources.put(ACTIVITY, activity.arn, msgspec.json.encode(activity), expected=0)
        except ResourceChanged:
            return self.get(activity.arn, activity.account) or self.create(activity)
        return activity

    def change(self, arn: str, account: str, edit: Callable[[Activity], Activity]) -> Activity | None:
        """Replace it by what `edit` makes of it, again if somebody else was faster; None if there is none."""
        while (stored := self._resources.get(ACTIVITY, arn)) is not None:
            present = msgspec.json.decode(stored.body, type=Activity)
            if present.account != account:
                return None
            activity = edit(present)
            with contextlib.suppress(ResourceChanged):
                self._resources.put(ACTIVITY, arn, msgspec.json.encode(activity), expected=stored.revision)
                return activity
        return None

    def page(self, prefix: str, *, after: str = "", limit: int = 100) -> list[Activity]:
        """Activities whose ARN starts with `prefix`, by ARN."""
        found = self._resources.list(ACTIVITY, prefix, after=after, limit=limit)
        return [msgspec.json.decode(stored.body, type=Activity) for stored in found]

    def delete(self, arn: str, account: str) -> bool:
        return self.get(arn, account) is not None and self._resources.delete(ACTIVITY, arn)
