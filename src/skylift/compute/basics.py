"""The answers of a backend that makes nothing which could outlive it, and buys nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from skylift.ports.compute import Capabilities, Leased, Requirements, SpotSight, Standing


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

    def sight(self, requirements: Requirements) -> SpotSight | None:
        return None

    def standings(self, tokens: Collection[str]) -> Mapping[str, Standing]:
        return {}

    def release(self, tokens: Collection[str]) -> None:
        return None
