"""The answers of a backend that makes nothing which could outlive it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from skylift.ports.compute import Capabilities, Leased


class Basics:
    """Base of backends: what they say unless they know better."""

    capabilities: Capabilities = Capabilities()

    def explain(self, tokens: Collection[str]) -> Mapping[str, str]:
        return {}

    def leased(self) -> Sequence[Leased]:
        return ()

    def end(self, leased: Sequence[Leased]) -> None:
        return None

    def shell(self, token: str) -> Sequence[str] | None:
        return None
