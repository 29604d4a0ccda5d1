"""Fetching a range in parallel, from several places, going on at the byte where a connection broke."""

from __future__ import annotations

import logging
import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event

from skylift.blocks.errors import SourceChanged, SourceUnavailable
from skylift.blocks.extent import Extent
from skylift.blocks.metering import FETCHED
from skylift.blocks.opening import open_origin
from skylift.blocks.origins import Origin, Stat, Unreachable, local_path

CONNECTIONS = 8
"""Requests at once for one range."""
PART = 4 << 20
"""Bytes of one request: with CONNECTIONS, the memory that a download takes."""
TRIES = 5
"""In a row without a single byte, at each place."""
MOST_FAILURES = 50
"""Of one request, however far it comes in between."""
_LONGEST_PAUSE_S = 10.0
_LONGEST_WAIT_S = 60.0
_TELL_EVERY_S = 10.0

_log = logging.getLogger("skylift.blocks")

Pause = Callable[[float], None]


@dataclass(slots=True)
class _Place:
    origin: Origin
    version: str
    size: int
    used: bool = False


class _Stopped(Exception):
    """Another part has failed: this one is not needed any more."""


def fetch_into(extent: Extent, descriptor: int, *, pause: Pause = time.sleep) -> None:
    """Write the extent to the start of a file. Raises SourceUnavailable, or SourceChanged."""
    parts = list(_parts(extent))
    stop = Event()
    done = 0

    def fetch(number: int) -> int:
        at, end = parts[number]
        for piece in _pieces(places, number, at, end, stop=stop, pause=pause):
            _write(descriptor, piece, at - extent.start)
            at += len(piece)
        return end - parts[number][0]

    places = _places(extent)
    with ThreadPoolExecutor(min(CONNECTIONS, len(parts)) or 1, thread_name_prefix="skylift-fetch") as pool:
        waiting = {pool.submit(fetch, number) for number in range(len(parts))}
        try:
            while waiting:
                ended, waiting = wait(waiting, timeout=_TELL_EVERY_S, return_when=FIRST_EXCEPTION)
                done += sum(future.result() for future in ended)
                if waiting:
                    _log.info("%s: %s of %s", extent.url, mib(done), mib(extent.length))
        finally:
            stop.set()
            for future in waiting:
                future.cancel()
    _confirm(places)


def stream(extent: Extent, *, pause: Pause = time.sleep) -> Iterator[bytes]:
    """The bytes in order. Parts are fetched ahead in parallel, but never more than CONNECTIONS of them."""
    places = _places(extent)
    parts = list(_parts(extent))
    if len(parts) <= 1 or local_path(extent.url) is not None:
        yield from _pieces(places, 0, extent.start, extent.end, stop=Event(), pause=pause)
        _confirm(places)
        return
    stop = Event()

    def fetch(number: int) -> bytes:
        return b"".join(_pieces(places, number, *parts[number], stop=stop, pause=pause))

    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="skylift-fetch") as pool:
        ahead: deque[Future[bytes]] = deque()
        told = time.monotonic()
        try:
            for number, part in enumerate(parts):
                while len(ahead) < CONNECTIONS and number + len(ahead) < len(parts):
                    ahead.append(pool.submit(fetch, number + len(ahead)))
                yield ahead.popleft().result()
                if time.monotonic() - told > _TELL_EVERY_S:
                    told = time.monotonic()
                    _log.info("%s: %s of %s read", extent.url, mib(part[1] - extent.start), mib(extent.length))
        finally:
            stop.set()
            for future in ahead:
                future.cancel()
    _confirm(places)


def read(extent: Extent) -> bytes:
    """A short extent."""
    return b"".join(stream(extent))


def stat_of(url: str, *, pause: Pause = time.sleep) -> Stat:
    """What the store says of a source, asked again where it does not answer. Raises SourceUnavailable."""
    origin = open_origin(url)
    for failures in range(1, TRIES + 1):
        try:
            return origin.stat()
        except Unreachable as problem:
            if problem.final or failures == TRIES:
                raise _unavailable({url: str(problem)}, 0) from problem
            _rest(failures, problem.wait_s, pause)
    raise AssertionError("the last try returns or raises")


def mib(size: int) -> str:
    """For people."""
    return f"{size / 2**20:.1f} MiB"


def _places(extent: Extent) -> list[_Place]:
    named = [(extent.url, extent.version), *extent.mirrors]
    return [_Place(open_origin(url, extent.size), version, extent.size) for url, version in named]


def _confirm(places: Sequence[_Place]) -> None:
    """What has come is of the version that was asked for, also where answers do not say so."""
    for place in places:
        if not place.used or place.origin.tells:
            continue
        now = stat_of(place.origin.url)
        if (now.version, now.size) != (place.version, place.size):
            then = f"{place.version or 'no version'}, {place.size} bytes"
            raise SourceChanged(
                f"{place.origin.url} has changed since it was split: {then} then, "
                f"{now.version or 'no version'}, {now.size} bytes now",
                hint="split it again: start a new run, or keep versions of the source under names of their own",
            )


def _parts(extent: Extent) -> Iterator[tuple[int, int]]:
    if not extent.ranges:
        yield extent.start, extent.end
        return
    for start in range(extent.start, extent.end, PART):
        yield start, min(start + PART, extent.end)


def _pieces(
    places: Sequence[_Place], number: int, start: int, end: int, *, stop: Event, pause: Pause
) -> Iterator[bytes]:
    """A part, from the place whose turn it is. What fails goes on at the next place, at the byte it had come to."""
    left = list(range(len(places)))
    turn, failures, total, at = number, 0, 0, start
    reasons: dict[str, str] = {}
    while at < end:
        index = left[turn % len(left)]
        place = places[index]
        try:
            for piece in place.origin.read(at, end, place.version):
                if stop.is_set():
                    raise _Stopped
                at, failures, place.used = at + len(piece), 0, True
                FETCHED.add(len(piece) if "://" in place.origin.url else 0)
                yield piece
        except Unreachable as problem:
            failures, total, turn = failures + 1, total + 1, turn + 1
            reasons[place.origin.url] = str(problem)
            if problem.final:
                left.remove(index)
            if not left or failures >= TRIES * len(left) or total >= MOST_FAILURES:
                raise _unavailable(reasons, at) from problem
            if failures % len(left) == 0 or len(left) == 1:
                _log.warning("%s at byte %d: %s; trying again", place.origin.url, at, problem)
                _rest(failures, problem.wait_s, pause)


def _rest(failures: int, asked_s: float | None, pause: Pause) -> None:
    if asked_s is not None:
        pause(min(asked_s, _LONGEST_WAIT_S))
    else:
        pause(min(_LONGEST_PAUSE_S, 0.2 * 2**failures) * random.uniform(0.5, 1.0))


def _unavailable(reasons: dict[str, str], at: int) -> SourceUnavailable:
    told = "; ".join(f"{url}: {reason}" for url, reason in reasons.items())
    return SourceUnavailable(
        f"byte {at} cannot be had: {told}",
        hint="check that the URL is right and may be read from where the step runs; name mirrors= where there are any",
    )


def _write(descriptor: int, piece: bytes, at: int) -> None:
    view = memoryview(piece)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
