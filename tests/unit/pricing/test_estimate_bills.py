"""Mixed bills in YAML: read safely and exactly; errors name file, line and key."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import pytest

from skylift.errors import SetupError
from skylift.pricing.catalogue import catalogue
from skylift.pricing.dates import DateInvalid
from skylift.pricing.estimate.amounts import EstimateInvalid
from skylift.pricing.estimate.bills import LARGEST, MOST_USES, read_bill
from skylift.pricing.estimate.price import estimate
from skylift.pricing.estimate.rules import rules
from skylift.pricing.missing import NoPrice, UnknownMachine

MIXED = """\
# a month of predictions, and one training
region: us-east-1
free_tier: false
uses:
  - {name: predictions, service: lambda, memory: 3 GiB, each: 338ms, requests: 3M}
  - name: training
    type: p3.2xlarge
    hours: 0.1
    count: 10
  - name: pictures
    service: s3
    data: 6 TB
  - service: transfer
    data: 6 TB
  - service: transfer
    name: more
    data: 6 TB
  - {type: n1-standard-1, region: us-central1, hours: 730}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "bill.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str) -> SetupError:
    with pytest.raises((EstimateInvalid, UnknownMachine, DateInvalid)) as caught:
        read_bill(written(folder, text), catalogue(), rules())
    return caught.value


def test_a_mixed_bill_adds_up(tmp_path: Path) -> None:
    bill = read_bill(written(tmp_path, MIXED), catalogue(), rules())
    found = estimate(bill.uses, catalogue(), as_of=bill.as_of, free_tier=bill.free_tier)
    by_use: dict[str, Fraction] = {}
    for line in found.lines:
        by_use[line.use] = by_use.get(line.use, Fraction(0)) + line.usd
    assert by_use == {
        "predictions": 3 * Fraction("17.1000338"),  # see test_estimate
        "training": Fraction("3.06"),  # ten times a tenth of an hour
        "pictures": 6144 * Fraction("0.023"),
        "transfer": 6144 * Fraction("0.09"),
        "more": 4096 * Fraction("0.09") + 2048 * Fraction("0.085"),  # the bill as a whole goes beyond 10 TB
        "n1-standard-1": Fraction("24.2725"),
    }
    assert found.usd == sum(by_use.values())


def test_what_stands_above_the_uses_counts_for_all(tmp_path: Path) -> None:
    text = "as_of: 2020\nregion: eu-west-1\nfree_tier: yes\nuses: [{type: p2.xlarge, hours: 1}]"
    bill = read_bill(written(tmp_path, text), catalogue(), rules())
    assert (bill.as_of, bill.free_tier, bill.uses[0].region) == ("2020-12-31", True, "eu-west-1")
    text = "region: eu-west-1\nuses: [{type: n1-standard-1, hours: 1}]"  # not a region of its cloud
    assert read_bill(written(tmp_path, text), catalogue(), rules()).uses[0].region == "us-central1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("uses: []", "bill.yaml:1: uses: the list is empty"),
        ("region: us-east-1", "there is no key `uses`"),
        ("- 1", "bill.yaml:1: here should be keys and values, not a value"),
        ("[]", "bill.yaml:1: uses: the list is empty"),
        ("uses: lambda", "bill.yaml:1: uses: here should be a list, not a value"),
        ("uses:\n  - lambda", "bill.yaml:2: here should be keys and values, not a value"),
        ("usses: []", "bill.yaml:1: usses: there is no such key"),
        ("region: us-east-7\nuses: [{type: m5.large, hours: 1}]", "bill.yaml:1: region 'us-east-7': no cloud has"),
        ("as_of: soon\nuses: [{type: m5.large, hours: 1}]", "bill.yaml:1: as_of 'soon' is no date"),
        ("free_tier: 3\nuses: [{type: m5.large, hours: 1}]", "bill.yaml:1: free_tier '3' is neither true nor false"),
        ("uses:\n  - type: m5.large\n    hours: -1", "bill.yaml:3: hours '-1' is negative"),
        ("uses:\n  - type: m5.large\n    hors: 1", "bill.yaml:3: hors: there is no such key"),
        ("uses:\n  - type: m5.lage\n    hours: 1", "bill.yaml:2: type 'm5.lage': there is no such machine type"),
        ("uses:\n\n  - type: m5.large", "bill.yaml:3: ec2 needs hours or duration"),
        ("uses:\n  - type: m5.large\n    hours: 1\n    hours: 2", "bill.yaml:4: hours: the key is there twice"),
        ("uses:\n  - type: m5.large\n    hours: [1, 2]", "bill.yaml:3: hours: here should be one value, not a list"),
        ("uses:\n  - type: m5.large\n    hours:", "bill.yaml:3: hours: here should be one value, not nothing"),
        ("uses:\n  - ? [type]\n    : m5.large", "a key is a word, not a list"),
        ("uses: [", "bill.yaml:1: this is no YAML"),
        ("uses:\n  - &b {type: m5.large, hours: 1}\n  - {<<: *b, hours: 2}", "bill.yaml:3: keys are not merged"),
        ("uses: &x\n  - *x", "here should be keys and values, not a list"),
        ("uses: [{type: m5.large, hours: .nan}]", "bill.yaml:1: hours '.nan' is not a number"),
        ("uses: [{type: m5.large, hours: null}]", "bill.yaml:1: hours 'null' is not a number"),
        ("uses: [{type: m5.large, hours: 1e30}]", "bill.yaml:1: hours '1e30' is more than anything"),
        ("uses: [{type: !!python/name:os.system x, hours: 1}]", "there is no such machine type"),
    ],
)
def test_errors_name_the_line_and_the_key(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text).message


def test_what_is_found_missing_later_names_the_line_too(tmp_path: Path) -> None:
    text = "uses:\n  - {type: m5.large, hours: 1}\n  - {service: cloud-run, vcpus: 1, memory: 1GiB, duration: 1h}"
    bill = read_bill(written(tmp_path, text), catalogue(), rules())
    with pytest.raises(NoPrice, match=r"bill.yaml:3: cloud-run: processors: no price in us-central1"):
        estimate(bill.uses, catalogue())


def test_aliases_are_texts_like_others(tmp_path: Path) -> None:
    text = "uses:\n  - &one {type: m5.large, hours: 1}\n  - *one\n"
    bill = read_bill(written(tmp_path, text), catalogue(), rules())
    assert len(bill.uses) == 2 and bill.uses[0] == bill.uses[1]


def test_one_use_does_not_stand_for_ever_so_many(tmp_path: Path) -> None:
    text = "uses:\n  - &one {type: m5.large, hours: 1}\n" + "  - *one\n" * MOST_USES
    error = refused(tmp_path, text)
    assert "bill.yaml:1: uses: 20,001 uses are more than a bill has" in error.message
    assert "`count`" in (error.hint or "")


def test_a_region_of_all_is_read_like_one_of_a_use(tmp_path: Path) -> None:
    [use] = read_bill(
        written(tmp_path, "region: EU-WEST-1\nuses: [{type: m5.large, hours: 1}]"), catalogue(), rules()
    ).uses
    assert use.region == "eu-west-1"
    error = refused(tmp_path, "region: mars-1\nuses: [{type: m5.large, hours: 1}]")
    assert error.hint is not None and "leave it out" in error.hint


def test_a_bare_list_is_a_bill(tmp_path: Path) -> None:
    uses = "- {type: m5.large, hours: 1}\n- {service: lambda, memory: 3GiB, duration: 1h}\n"
    bare = read_bill(written(tmp_path, uses), catalogue(), rules())
    assert estimate(bare.uses, catalogue()).usd == Fraction("0.096") + Fraction("0.18000036")


def test_what_has_no_end_is_not_read_to_it() -> None:
    with pytest.raises(EstimateInvalid, match="is too large"):
        read_bill(Path("/dev/zero"), catalogue(), rules())


def test_nothing_deep_or_huge_is_read(tmp_path: Path) -> None:
    error = refused(tmp_path, "[" * 20_000)
    assert "this is no YAML" in error.message and "Python" not in error.message
    assert "at most 1,000,000" in refused(tmp_path, "#" * (LARGEST + 1)).message
    path = tmp_path / "bytes.yaml"
    path.write_bytes(b"uses: \xff\xfe\x00")
    with pytest.raises(EstimateInvalid, match="this is no YAML"):
        read_bill(path, catalogue(), rules())


def test_without_the_extra_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(SetupError) as caught:
        read_bill(written(tmp_path, MIXED), catalogue(), rules())
    assert caught.value.hint == "pip install 'skylift[plan]'"
