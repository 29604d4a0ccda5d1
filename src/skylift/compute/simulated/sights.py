"""What can be seen of the spot market that a task would be bought on."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from skylift.compute.simulated.market import Market
from skylift.ports.compute import Requirements, SpotSight
from skylift.pricing.catalogue import Catalogue
from skylift.pricing.places import Place, hourly

_REMEMBERED = 1_000


class Sights:
    """Which place a task's spot machine would be is looked up once; whether there are any is asked each time.
    Not thread-safe."""

    def __init__(self, catalogue: Catalogue, place_of: Callable[[Requirements], Place | None]) -> None:
        """`place_of` is what would be bought for a task that is to run on spot."""
        self._catalogue = catalogue
        self._place_of = place_of
        self._known: dict[bytes, tuple[Place, float, int] | None] = {}

    def see(self, needs: Requirements, market_of: Callable[[Place], Market | None], now_ms: int) -> SpotSight | None:
        """None where it would not be bought on spot."""
        key = msgspec.msgpack.encode(needs)
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = self._look_up(needs)
        known = self._known[key]
        if known is None:
            return None
        place, ratio, startup_ms = known
        market = market_of(place)
        return SpotSight(available=market is None or market.up(now_ms), ratio=ratio, startup_ms=startup_ms)

    def _look_up(self, needs: Requirements) -> tuple[Place, float, int] | None:
        place = self._place_of(needs)
        if place is None or place.market != "spot":
            return None
        spot = hourly(place, self._catalogue)
        steady = hourly(msgspec.structs.replace(place, market="on-demand"), self._catalogue)
        if not spot or not steady:
            return None
        _, most = self._catalogue.rules_of(place.cloud)[place.service].startup_ms
        return place, float(spot / steady), most
