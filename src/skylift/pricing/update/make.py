"""Makes a snapshot of prices out of a provider's files and puts it beside the others."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from skylift.pricing.catalogue import Catalogue, forget
from skylift.pricing.encode import Draft, encode
from skylift.pricing.quality import sifted
from skylift.pricing.rows import MachinePrice, MachineType, SetAside
from skylift.pricing.snapshot import Snapshot
from skylift.pricing.update import aws, azure, gcp
from skylift.pricing.update.fetch import MIB, UpdateFailed, opened, shown
from skylift.pricing.update.machines import Harvest

MOST_FILE = 8 * 1024 * MIB
"""Amazon's largest offer file of a region has some 4 GiB."""
MOST_PAGE = 64 * MIB
MOST_PAGES = 3_000
CLOUDS = ("aws", "gcp", "azure")
_REGION = re.compile(r"[a-z0-9-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]*")
_HEAD = 4096


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A new snapshot, and what was left out of it."""

    cloud: str
    as_of: str
    path: str
    prices: int
    machines: int
    regions: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    unknown: tuple[str, ...]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    cloud: str | None = None
    """Told by the file where it is None."""
    place: str | None = None
    """A file or URL; the provider's own where it is None."""
    regions: tuple[str, ...] = ()
    into: Path
    today: str
    """Date of prices that have none."""
    key: str | None = None
    """For Google's API."""


def update(wanted: Wanted, catalogue: Catalogue) -> Made:
    """Raises UpdateFailed; nothing is written then."""
    for region in wanted.regions:
        if _REGION.fullmatch(region) is None:
            raise UpdateFailed(f"{region!r} is no name of a region", hint="write for example us-east-1")
    cloud = wanted.cloud or _told_by(wanted)
    known = catalogue.book(cloud).machines
    harvest = {"aws": _aws, "azure": _azure, "gcp": _gcp}[cloud](wanted, known)
    snapshot = _snapshot(cloud, harvest, known, wanted)
    path = _written(snapshot, wanted)
    forget()
    return _made(snapshot, harvest, path)


def _told_by(wanted: Wanted) -> str:
    if wanted.place is None:
        raise UpdateFailed("which cloud's prices?", hint=f"name it with --cloud: {', '.join(CLOUDS)}")
    with opened(wanted.place, most=MOST_FILE) as file:
        head = file.peek(_HEAD)[:_HEAD]
    marks = {
        "aws": (b'"offerCode"', b'"FormatVersion"', b'"formatVersion"'),
        "gcp": (b'"skus"',),
        "azure": (b'"Items"',),
    }
    for cloud, words in marks.items():
        if any(word in head for word in words):
            return cloud
    raise UpdateFailed(
        f"{shown(wanted.place)} is no price file that is known here",
        hint="it takes Amazon's offer files of EC2, pages of Azure's retail prices and of Google's SKUs",
    )


def _aws(wanted: Wanted, known: Mapping[str, MachineType]) -> Harvest:
    places = [wanted.place] if wanted.place is not None else aws.urls(wanted.regions or ("us-east-1",))
    harvest = Harvest()
    for place in places:
        with opened(place, most=MOST_FILE) as file:
            is_json = file.peek(_HEAD).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"
            found = (aws.from_json if is_json else aws.from_csv)(file, place, known)
        harvest.add(found.rows)
        harvest.unknown |= found.unknown
    return harvest


def _azure(wanted: Wanted, known: Mapping[str, MachineType]) -> Harvest:
    start = wanted.place or azure.url(wanted.regions)
    harvest = Harvest()
    following: str | None = start
    for _ in range(MOST_PAGES):
        if following is None:
            return harvest
        page = _page(following, {})
        here = following
        following = azure.read_page(page, known, harvest, today=wanted.today, source=shown(start))
        following = None if following is None else _same_host(here, following)
    raise UpdateFailed(f"{shown(start)} has more than {MOST_PAGES} pages", hint="name regions with --region")


def _same_host(here: str, following: str) -> str | None:
    """A page from a file ends there; one from a server may not lead to another."""
    if urlsplit(here).scheme not in ("http", "https"):
        return None
    try:
        target = urljoin(here, following)
        elsewhere = urlsplit(target)[:2] != urlsplit(here)[:2]
    except ValueError as problem:
        raise UpdateFailed(f"{shown(here)} leads to what is no address: {following[:60]!r}") from problem
    if elsewhere:
        raise UpdateFailed(f"{shown(here)} leads to another server: {shown(target)}")
    return target


def _gcp(wanted: Wanted, known: Mapping[str, MachineType]) -> Harvest:
    start = wanted.place or gcp.URL
    if wanted.place is None and wanted.key is None:
        raise UpdateFailed(
            "Google's list of prices wants a key of the Cloud Billing API",
            hint="put one into SKYLIFT_GCP_API_KEY, or give a file that was fetched with one: --from skus.json",
        )
    own = wanted.place is None  # the key is for Google, and for no other place
    headers = {"X-Goog-Api-Key": wanted.key} if own and wanted.key is not None else {}
    skus = gcp.Skus()
    token: str | None = ""
    for _ in range(MOST_PAGES):
        place = start if not token else f"{start}{'&' if '?' in start else '?'}pageToken={token}"
        token = skus.read_page(_page(place, headers), shown(start))
        if token is None or urlsplit(start).scheme not in ("http", "https"):
            return skus.harvest(known, today=wanted.today, source=shown(start))
    raise UpdateFailed(f"{shown(start)} has more than {MOST_PAGES} pages")


def _page(place: str, headers: Mapping[str, str]) -> dict[str, Any]:
    with opened(place, most=MOST_PAGE, headers=headers) as file:
        raw = file.read()
    try:
        page = json.loads(raw, parse_float=str)  # so that an amount stays what was written
    except (ValueError, RecursionError) as problem:
        raise UpdateFailed(f"{shown(place)} is not JSON: {problem}", hint="fetch it again") from problem
    if not isinstance(page, dict):
        raise UpdateFailed(f"{shown(place)} is no page of prices: it is no JSON object")
    return page


def _snapshot(cloud: str, harvest: Harvest, known: Mapping[str, MachineType], wanted: Wanted) -> Snapshot:
    rows = [row for row in harvest.rows if _is_named(row.price, harvest)]
    types = {**known, **{row.price.type: row.machine for row in rows if row.machine is not None}}
    chosen = [row.price for row in rows if not wanted.regions or row.price.region in wanted.regions]
    good, aside = sifted(chosen, types)
    if not good:
        raise UpdateFailed(
            f"no price of a machine was found in {shown(wanted.place) if wanted.place else f'the files of {cloud}'}",
            hint="name the region as the provider does, and check that it is the whole file",
        )
    newest = max(price.as_of for price in good)
    if newest > wanted.today:  # it would count before all that are to come
        raise UpdateFailed(
            f"its prices are of {newest}, which is to come", hint="fetch the file again, or set the clock"
        )
    draft = Draft(cloud, types)
    for price in good:
        draft.price(price)
    for one in aside:
        draft.set_aside(one)
    return draft.snapshot()


def _is_named(price: MachinePrice, harvest: Harvest) -> bool:
    """Other names are no provider's: spaces, `*`, or what makes a terminal do something."""
    if _NAME.fullmatch(price.type) is not None and _NAME.fullmatch(price.region) is not None:
        return True
    harvest.unknown.add(ascii(f"{price.type[:40]} in {price.region[:40]}"))
    return False


def _written(snapshot: Snapshot, wanted: Wanted) -> Path:
    """Whole or not at all; of the same date and regions it takes the place of the one before."""
    folder = wanted.into / snapshot.cloud
    where = "-".join(wanted.regions) if 0 < len(wanted.regions) <= 3 else ""
    path = folder / f"machines-{snapshot.as_of}{f'-{where}' if where else ''}.json"
    folder.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(encode(snapshot))
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def _made(snapshot: Snapshot, harvest: Harvest, path: Path) -> Made:
    return Made(
        cloud=snapshot.cloud,
        as_of=snapshot.as_of,
        path=str(path),
        prices=sum(len(text.split()) // 2 for table in snapshot.tables for text in table.prices.values()),
        machines=len(snapshot.types),
        regions=snapshot.regions,
        set_aside=snapshot.set_aside,
        unknown=tuple(sorted(harvest.unknown)),
    )


def regions_text(regions: Sequence[str]) -> str:
    """The first few."""
    return ", ".join(regions[:5]) + (f" and {len(regions) - 5} more" if len(regions) > 5 else "")
