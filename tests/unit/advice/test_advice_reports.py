"""Reports of realistic projects, as they were when somebody looked at them; and what no answer may do to a format.

`python tests/unit/advice/test_advice_reports.py` writes the golden files anew: read the difference before committing.
"""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skylift.advice.advise import advise
from skylift.advice.blocks import Picture, Table, sections
from skylift.advice.constraints import read, write
from skylift.advice.document import document
from skylift.advice.html import html as page
from skylift.advice.markdown import markdown
from skylift.advice.reading import read_project
from skylift.advice.report import Report
from skylift.advice.terminal import terminal
from skylift.pricing.catalogue import catalogue

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "advice").glob("*.yaml"))
GOLDEN = Path(__file__).parent / "golden"
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> [a](javascript:alert(3)) | `x` \x1b[31m\x07 &lt; ]]>"
)


def report(path: Path) -> Report:
    return advise(read_project(path.read_text(encoding="utf-8"), path.name), catalogue())


def digest(found: Report) -> dict[str, Any]:
    """What of a report a person would notice."""
    return {
        "verdict": found.verdict,
        "by_purpose": found.by_purpose,
        "if_cleared": found.if_cleared,
        "ranking": {
            one.option.id: "ruled out by " + ", ".join(each.rule for each in one.reasons if each.excludes)
            if one.out
            else f"{one.score}: " + ", ".join(f"{each.rule} {each.weight:+d}" for each in one.reasons)
            for one in found.ranking
        },
        "figures": {one.id: f"{one.shown} = {one.working}" if one.working else one.note for one in found.figures},
        "constraints": msgspec.to_builtins(found.constraints),
        "lock_in": {one.service: one.level for one in found.lock_in},
        "matters": [one.path or one.text for one in found.questions if one.matters],
        "assumptions": list(found.assumptions),
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_project_is_advised_as_before(path: Path) -> None:
    golden = json.loads((GOLDEN / f"{path.stem}.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(digest(report(path)))) == golden


@pytest.mark.parametrize(
    ("name", "recommended"),
    [
        ("imaging", "own-machines"),
        ("startup", "functions"),
        ("shop_search", "endpoint"),
        ("nightly", "batch-spot"),
        ("residency", "batch"),
        ("steady", "own-machines"),
        ("desk", "local"),
    ],
)
def test_the_recommendation_is_what_a_person_would_say(name: str, recommended: str) -> None:
    found = report(next(path for path in EXAMPLES if path.stem == name))
    assert found.recommended == recommended


def test_health_data_stays_until_it_is_cleared() -> None:
    found = report(next(path for path in EXAMPLES if path.stem == "imaging"))
    assert found.constraints.own_machines_only
    assert found.constraints.private_network
    assert {one.option.id for one in found.ranking if not one.out} == {"own-machines", "local"}
    assert any("business associate agreement" in one.text and one.matters for one in found.questions)
    assert set(found.constraints.regions or ()) > {"us-east-1", "us-gov-west-1"}
    assert "eu-west-1" not in (found.constraints.regions or ())


def test_residency_is_handed_to_plan() -> None:
    found = report(next(path for path in EXAMPLES if path.stem == "residency"))
    bound = read(write(found.constraints), "c.json")
    assert bound == found.constraints
    assert bound.refuses(service="batch", region="eu-central-1", market="on-demand") is None
    said = bound.refuses(service="batch", region="eu-west-2", market="on-demand")
    assert said is not None
    assert "the data must stay where its law wants it (gdpr)" in said


def test_nobody_can_be_advised_when_everything_is_ruled_out() -> None:
    text = "project: x\ndata: {sensitivity: [hipaa]}\nhardware: {gpu: V100, owned: none}\nbudget: {upfront: 0}\n"
    found = advise(read_project(text, "x.yaml"), catalogue())
    assert found.recommended is None
    assert found.verdict.startswith("Every set-up is ruled out")
    assert found.if_cleared is not None
    assert found.lock_in == ()
    assert "ruled out" in markdown(found)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_reason_of_the_best_and_every_figure_is_shown_in_every_format(path: Path) -> None:
    found = report(path)
    best = found.ranking[0]
    shown = {"markdown": markdown(found).replace("\\", ""), "html": _text(page(found)), "terminal": terminal(found)}
    for name, wrapped in shown.items():
        text = " ".join(wrapped.split())
        for reason in best.reasons:
            assert reason.text in text, (name, reason.rule)
            assert reason.source.replace("`", "") in text.replace("`", ""), (name, reason.rule)
        for one in found.figures:
            assert one.title in text, (name, one.id)
            assert one.value is None or one.shown in text
            assert one.note in text
            assert one.formula in text
        for asked in found.questions:
            assert asked.text in text, (name, asked.text)
        for one in found.lock_in:
            assert one.way_out.split(".")[0] in text, (name, one.service)
    assert document(found)["recommended"] == found.recommended
    assert json.loads(msgspec.json.encode(document(found)))["figures"][0]["formula"] == found.figures[0].formula


class _Reader(html.parser.HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _read(text: str) -> _Reader:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def _text(text: str) -> str:
    return _read(text).text


def hostile() -> Report:
    text = json.dumps(
        {
            "project": HOSTILE,
            "description": HOSTILE,
            "purpose": ["inference"],
            "hardware": {"gpu": "V100", "gpus": 1, "owned": "none"},
            "requests": {"instance": "c5a.large", "instance_duration": "3 s", "latency": "1 s"},
        }
    )
    return advise(read_project(text, "x.json"), catalogue())


def test_no_answer_becomes_a_tag_or_an_attribute() -> None:
    reader = _read(page(hostile(), {"published": "<?xml version='1.0'?>\n<svg id='a'><g></g></svg>"}))
    ours = {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "section", "ul", "li", "table", "caption",
        "thead", "tbody", "tr", "th", "td", "pre", "code", "figure", "svg", "g",
    }  # fmt: skip
    assert {tag for tag, _ in reader.tags} <= ours
    assert {name for _, attrs in reader.tags for name, _ in attrs} <= {
        "lang", "charset", "http-equiv", "content", "name", "class", "scope", "role", "aria-label", "id",
    }  # fmt: skip
    assert "<script>alert(1)</script>" in reader.text
    assert "\x1b" not in page(hostile())


def test_a_page_loads_nothing() -> None:
    for path in EXAMPLES:
        text = page(report(path))
        assert not re.search(r"(src|href)=|@import|url\(http|<script", text)
        assert "default-src &#x27;none&#x27;" in text


def test_no_answer_becomes_markdown() -> None:
    text = re.sub(r"^```json$.*?^```$", "", markdown(hostile()), flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"(?<!\\)<", text)
    assert not re.search(r"(?<!\\)\]\(", text)
    assert "\x1b" not in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5, 6)


def test_no_answer_moves_the_cursor() -> None:
    assert [one for one in terminal(hostile()) if not one.isprintable() and one not in "\n\t"] == []


def test_pictures_stand_where_they_are_given_and_tables_where_not() -> None:
    found = report(next(path for path in EXAMPLES if path.stem == "startup"))
    drawn = {
        curve.id: '<?xml version="1.0"?><svg id="figure_1"><path id="p" clip-path="url(#c)"/><use href="#p"/></svg>'
        for curve in found.curves
    }
    text = page(found, drawn)
    assert text.count("<svg") == len(found.curves) == 2
    assert 'id="function-or-instance-p"' in text
    assert 'href="#function-or-instance-p"' in text
    assert "url(#published-c)" in text
    without = page(found)
    assert "<svg" not in without
    assert "functions: cost (USD a month)" in without
    assert "![" not in markdown(found)
    assert "![A function or instances](a.svg)" in markdown(found, {"function-or-instance": "a.svg"})


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_curves_cross_at_their_mark(path: Path) -> None:
    for curve in report(path).curves:
        at, label = curve.marks[0]
        assert label
        first, second, *_ = curve.series.values()
        if curve.id == "published":
            first, second = curve.series["Lambda, price as stated"], curve.series["one c5a.large"]
        gaps = [(x, y - other) for (x, y), (_, other) in zip(first, second, strict=True)]
        before = [gap for x, gap in gaps if x < at]
        after = [gap for x, gap in gaps if x > at]
        assert before[-1] * after[0] <= 0 or min(abs(before[-1]), abs(after[0])) < 1e-6 * max(abs(g) for _, g in gaps)


def test_sections_come_in_order_and_tables_are_even() -> None:
    for path in EXAMPLES:
        found = sections(report(path))
        assert found[0].title == "The answer"
        for section in found:
            for block in section.blocks:
                if isinstance(block, Table):
                    assert {len(row) for row in block.rows} <= {len(block.columns)}
                if isinstance(block, Picture):
                    assert section.title == "Figures"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for example in EXAMPLES:
        text = json.dumps(digest(report(example)), indent=1, ensure_ascii=False)
        (GOLDEN / f"{example.stem}.json").write_text(text + "\n", encoding="utf-8")
