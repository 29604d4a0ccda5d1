"""What `find` answers is what looking at every row of the stored snapshots would."""

from __future__ import annotations

import json
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from skylift.pricing.catalogue import CLOUDS, Query, catalogue
from skylift.pricing.files import SHIPPED as FOLDER

KNOWN = catalogue()
Cell = tuple[str, str, str]
"""Cloud, type, region."""

QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "cloud": st.sampled_from(CLOUDS),
        "type": st.sampled_from(
            ["*", "p?.*", "p3.2xlarge", "P3.2XLARGE", "inf1.xlarge", "n2-*", "Standard_N*", "*large", "gpu_8x*"]
        ),
        "region": st.sampled_from(["us-*", "us-east-1", "eu-west-1", "europe-west4", "eastus", "*-1", "US-WEST-2"]),
        "gpu": st.sampled_from(["1", "4", "V100", "v100:8", "T4", "A100", "A100-80GB:8", "H100:8", "K80", "L4:2"]),
        "vcpus": st.sampled_from([0.5, 2, 8, 33, 96]),
        "memory_mib": st.sampled_from([1024, 16384, 62464, 400_000]),
        "spot": st.booleans(),
        "as_of": st.sampled_from(["2016-12-31", "2018-01-01", "2020-12-31", "2021-11-26", "2026-06-30", "2026-12-31"]),
    },
)  # fmt: skip


@cache
def stored() -> tuple[dict[tuple[str, str], list[str]], list[tuple[Cell, str, str, Decimal]]]:
    """Words of every machine, and every price of plain machines, read without the catalogue's own reader."""
    machines: dict[tuple[str, str], list[str]] = {}
    rows: list[tuple[Cell, str, str, Decimal]] = []
    for path in sorted(FOLDER.rglob("*.json")):
        file: dict[str, Any] = json.loads(path.read_text())
        for name, text in file.get("types", {}).items():
            machines[file["cloud"], name] = text.split()
        for table in file.get("tables", ()):
            if table.get("services", ["batch"]) != ["batch"] or table.get("market") == "reserved":
                continue
            for name, text in table["prices"].items():
                words = text.split()
                for at in range(0, len(words), 2):
                    cell = (file["cloud"], name, file["regions"][int(words[at])])
                    rows.append((cell, table.get("market", "on-demand"), table["as_of"], Decimal(words[at + 1])))
    return machines, rows


@cache
def newest(day: str) -> dict[tuple[Cell, str], Decimal]:
    """Price of a cell and market as known on a day."""
    found: dict[tuple[Cell, str], tuple[str, Decimal]] = {}
    for cell, market, as_of, usd in stored()[1]:
        if as_of <= day:
            found[cell, market] = max(found.get((cell, market), ("", usd)), (as_of, usd))
    return {key: usd for key, (_, usd) in found.items()}


def brute(query: dict[str, Any]) -> dict[Cell, tuple[Decimal | None, Decimal | None]]:
    machines, _ = stored()
    known = newest(query.get("as_of", "9999"))
    found = {}
    for cell in {cell for cell, _ in known}:
        prices = (known.get((cell, "on-demand")), known.get((cell, "spot")))
        if None not in prices and prices[1] > prices[0]:  # type: ignore[operator]
            prices = (prices[0], None)
        wanted = prices[1] is not None if query.get("spot") else prices != (None, None)
        if wanted and fits(cell, machines[cell[:2]], query):
            found[cell] = prices
    return found


def fits(cell: Cell, words: list[str], query: dict[str, Any]) -> bool:
    cloud, name, region = cell
    if name.startswith("accelerator:") or query.get("cloud", cloud) != cloud:
        return False
    for key, value in (("type", name), ("region", region)):
        if key in query and not fnmatchcase(value.lower(), query[key].lower()):
            return False
    if float(words[0]) < query.get("vcpus", 0) or int(words[1]) < query.get("memory_mib", 0):
        return False
    if "gpu" not in query:
        return True
    model, count, share = (words[3], int(words[4]), float(words[5])) if len(words) > 3 else ("", 0, 1.0)
    wanted, _, number = query["gpu"].partition(":")
    if wanted.isdigit():
        return count >= int(wanted) and share == 1 and not model.startswith(("inferentia", "trainium"))
    alike = model.lower() == wanted.lower() or model.lower().startswith(wanted.lower() + "-")
    return alike and share == 1 and count >= int(number or 1)


@settings(max_examples=40, deadline=None)
@given(QUERIES)
def test_find_answers_what_looking_at_every_row_does(query: dict[str, Any]) -> None:
    found = [one for one in KNOWN.find(Query(**query)) if "+" not in one.machine.name]
    answer = {
        (one.machine.cloud, one.machine.name, one.region): (
            None if one.on_demand is None else one.on_demand.usd_per_hour,
            None if one.spot is None else one.spot.usd_per_hour,
        )
        for one in found
    }
    assert len(answer) == len(found)
    assert answer == brute(query)


@settings(max_examples=20, deadline=None)
@given(QUERIES, st.sampled_from(["price", "type", "region", "vcpus", "memory"]))
def test_the_order_is_that_of_the_query_and_always_the_same(query: dict[str, Any], sort: Any) -> None:
    asked = Query(**query, sort=sort)
    found = KNOWN.find(asked)
    assert found == KNOWN.find(asked)
    keys: dict[str, list[Any]] = {
        "type": [(one.machine.cloud, one.machine.name, one.region) for one in found],
        "region": [one.region for one in found],
        "vcpus": [one.machine.vcpus for one in found],
        "memory": [one.machine.memory_mib for one in found],
        "price": [
            Decimal("Infinity") if price is None else price.usd_per_hour
            for one in found
            for price in [one.spot if asked.spot else one.on_demand]
        ],
    }
    assert keys[sort] == sorted(keys[sort])


@settings(max_examples=25, deadline=None)
@given(QUERIES, st.sampled_from(["vcpus", "memory_mib", "gpu", "region", "type", "cloud", "spot"]))
def test_asking_for_less_finds_no_less(query: dict[str, Any], let_go: str) -> None:
    def names(words: dict[str, Any]) -> set[Cell]:
        return {(one.machine.cloud, one.machine.name, one.region) for one in KNOWN.find(Query(**words))}

    wider = {key: value for key, value in query.items() if key != let_go}
    pairs = let_go == "gpu"  # pairs of hosts and GPUs are found where a GPU is asked for
    assert {cell for cell in names(query) if not (pairs and "+" in cell[1])} <= names(wider)
