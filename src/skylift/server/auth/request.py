"""What is asked of a request before anything else: its head, in the form that checks need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from skylift.sigv4 import Headers


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Of one request."""

    method: str
    path: str
    """As on the wire."""
    query: str
    headers: Headers
    by_name: Mapping[str, str]
    """The last one of each name."""

    def get(self, name: str) -> str | None:
        return self.by_name.get(name)


def head_of(scope: Mapping[str, Any]) -> Head:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return Head(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        by_name=dict(headers),
    )
