"""The shipped catalogue is what the tables of facts say: built anew from them, where they are at hand."""

from __future__ import annotations

import csv
import importlib.util
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from skylift.pricing.catalogue import catalogue
from skylift.pricing.files import SHIPPED

ROOT = Path(__file__).parents[3]
FACTS = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.skipif(not FACTS.is_dir(), reason="the tables of facts (../shared/data) are not at hand")


def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    spec = importlib.util.spec_from_file_location("build_catalogue", ROOT / "tools" / "build_catalogue.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("catalogue_machines", "catalogue_services"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return module


def test_building_it_anew_gives_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    built = dict(tool(monkeypatch).build(FACTS))
    shipped = {str(path.relative_to(SHIPPED)) for path in SHIPPED.rglob("*.json") if path.name != "rules.json"}
    assert set(built) == shipped
    assert [name for name, content in built.items() if (SHIPPED / name).read_bytes() != content] == []


def test_it_is_built_into_a_folder_that_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tool(monkeypatch)
    assert module.main([]) == 2
    assert "DATA" in capsys.readouterr().err
    assert module.main([str(FACTS), str(tmp_path)]) == 0
    assert (tmp_path / "gcp" / "services.json").read_bytes() == (SHIPPED / "gcp" / "services.json").read_bytes()


def test_every_row_of_the_facts_has_its_price() -> None:
    """Row by row through the catalogue's own answers, at the row's date."""
    known, aside, seen = catalogue(), set(), 0
    for cloud in ("aws", "gcp", "azure", "lambda"):
        aside |= {(cloud, one.what, one.region, one.market) for one in known.set_aside(cloud)}
    with (FACTS / "instances.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            where = (row["instance_type"], row["region"])
            for market in ("on-demand", "spot"):
                text = row["price_on_demand" if market == "on-demand" else "price_spot"]
                if not text or (row["cloud"], *where, market) in aside:
                    continue
                found = known.machine_price("batch", *where, market, row["as_of"], row["cloud"])
                assert found is not None and found.usd_per_hour == Decimal(text), row
                seen += 1
    assert seen > 35_000


def test_every_reserved_price_of_2017_is_there() -> None:
    known = catalogue()
    with (FACTS / "aws_reserved_2017.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        terms = {price.term: price.usd_per_hour for price in known.reserved(row["instance_type"], row["region"])}
        assert Decimal(row["price_reserved_effective"]) in terms.values(), row
    assert len(rows) == 1446
