"""The gate while the keys cannot be looked up: nobody is let in, and nobody is told that a key is missing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from skylift.errors import JournalUnavailable
from skylift.server.auth.gate import Gate
from skylift.server.errors import ApiError


def test_metrics_while_the_store_is_away() -> None:
    async def blocking(function: Any) -> Any:
        return function()

    def away() -> bool:
        raise JournalUnavailable("the database is away")

    gate = Gate(SimpleNamespace(blocking=blocking), SimpleNamespace(any=away), "auto")  # type: ignore[arg-type]
    with pytest.raises(ApiError) as refused:
        asyncio.run(gate.allows_local(SimpleNamespace(path="/metrics")))  # type: ignore[arg-type]
    assert refused.value.status == 503
