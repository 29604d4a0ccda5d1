"""Pictures: well-formed, escaped, deterministic, and their lines cross no box."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skylift.asl.diagram import mermaid, svg
from skylift.asl.diagram.layout import Layout, Line, lay_out
from skylift.asl.document import Document
from skylift.asl.parse import load

PASS = {"Type": "Pass", "End": True}
NASTY = "<b>&\"'`#;]}\u202e\x07 é世"


def document() -> Document:
    return load(
        {
            "Comment": "x < y & z",
            "StartAt": "Check",
            "States": {
                "Check": {
                    "Type": "Choice",
                    "Choices": [
                        {"Variable": "$.n", "NumericLessThan": 3, "Next": "Each"},
                        {
                            "And": [{"Variable": "$.s", "StringEquals": '"<x>"'}, {"Variable": "$.t", "IsNull": False}],
                            "Next": NASTY,
                        },
                    ],
                    "Default": "Done",
                },
                "Each": {
                    "Type": "Map",
                    "ItemProcessor": {"StartAt": "Item", "States": {"Item": PASS}},
                    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Broken"}],
                    "Next": "Both",
                },
                "Both": {
                    "Type": "Parallel",
                    "Branches": [{"StartAt": "L", "States": {"L": PASS}}, {"StartAt": "R", "States": {"R": PASS}}],
                    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Broken"}],
                    "Next": "Check",
                },
                NASTY: {"Type": "Wait", "Seconds": 3, "Next": "Done"},
                "Done": {"Type": "Succeed"},
                "Broken": {"Type": "Fail", "Error": "E"},
            },
        }
    )


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_is_xml_with_every_state_and_label() -> None:
    picture = svg(document())
    found = texts(picture)
    for word in (
        "Check",
        "Each",
        "Item",
        "Both",
        "L",
        "R",
        "Done",
        "Broken",
        "$.n < 3",
        "otherwise",
        "any error",
        "Wait 3 s",
    ):
        assert word in found
    assert any("<b>&\"'`#;]}" in text for text in found)
    assert "$.s = '\"<x>\"' and $.t is not null" in found
    assert "\x07" not in picture and "\u202e" not in picture


def test_the_picture_needs_nothing_from_elsewhere() -> None:
    picture = svg(document())
    assert not re.search(r"href|url\((?!#)|@import|<script|<image|<foreignObject", picture)
    assert picture.count("http") == 1  # the namespace


def test_the_picture_is_deterministic() -> None:
    assert svg(document()) == svg(document())
    assert mermaid(document()) == mermaid(document())


def chain(length: int) -> Document:
    """Tasks in a row that all catch to the same state."""
    states: dict[str, Any] = {}
    for index in range(length):
        catch = [{"ErrorEquals": ["States.ALL"], "Next": "Broken"}]
        task = {"Type": "Task", "Resource": "arn:aws:states:::skylift:t", "Catch": catch, "Next": f"s{index + 1}"}
        states[f"s{index}"] = task
    states[f"s{length}"] = PASS
    states["Broken"] = {"Type": "Fail"}
    return load({"StartAt": "s0", "States": states})


def test_catch_lines_are_dashed_and_meet() -> None:
    paths = re.findall(r'<path class="edge catch" d="[^"]+"(.*)/>', svg(chain(4)))
    assert len(paths) == 4
    assert sum("marker-end" in path for path in paths) == 2  # the last one, and the one that the others join


def test_highlights() -> None:
    plain = svg(document())
    assert svg(document(), highlight={"nobody": "RUNNING"}) == plain
    marked = svg(document(), highlight={"Check": "failed", "Item": "Succeeded", "Both": "#abc"})
    assert marked.count("stroke-width:3") == 3
    assert "stroke:#ef4444" in marked and "stroke:#10b981" in marked and "stroke:#abc" in marked


@pytest.mark.parametrize("value", ["NOPE", "red;}", "url(#x)", '"', ""])
def test_a_highlight_that_is_no_colour_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="highlight"):
        svg(document(), highlight={"Check": value})


def test_light_and_dark() -> None:
    assert "prefers-color-scheme:dark" in svg(document())


def test_mermaid_says_the_same() -> None:
    text = mermaid(document())
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "flowchart TD"
    assert text.count("subgraph") == 4 and lines.count("end") == 4
    assert '-.->|"any error"|' in text and '-->|"otherwise"|' in text
    assert "<b>" not in text and "#60;b#62;" in text
    assert all(line.count('"') % 2 == 0 for line in lines)


def test_a_loop_without_an_end_and_a_state_that_loops_to_itself() -> None:
    source = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "A"}], "Default": "B"},
            "B": PASS,
        },
    }
    ElementTree.fromstring(svg(load(source)))


def test_long_documents_are_drawn_in_time() -> None:
    ElementTree.fromstring(svg(chain(300)))


NAMES = [f"b{index}" for index in range(9)]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, tuple[float, float]], list[Line]]:
    names = NAMES[: draw(st.integers(1, 9))]
    sizes = {
        name: (draw(st.sampled_from([60.0, 104.0, 300.0])), draw(st.sampled_from([14.0, 46.0, 220.0])))
        for name in names
    }
    lines = [Line(names[index // 2], name) for index, name in enumerate(names) if index]
    for _ in range(draw(st.integers(0, 10))):
        label = draw(st.sampled_from([0.0, 40.0, 200.0]))
        lines.append(
            Line(
                draw(st.sampled_from(names)), draw(st.sampled_from(names)), label, draw(st.sampled_from(["", "catch"]))
            )
        )
    return sizes, lines


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_boxes_do_not_overlap_and_lines_cross_no_box(graph: tuple[dict[str, tuple[float, float]], list[Line]]) -> None:
    sizes, lines = graph
    layout = lay_out(sizes, NAMES[0], lines)
    boxes = {name: (*layout.boxes[name], *sizes[name]) for name in sizes}
    for name, box in boxes.items():
        assert box[0] >= -0.1 and box[1] >= -0.1
        assert box[0] + box[2] <= layout.width + 0.1 and box[1] + box[3] <= layout.height + 0.1
        for other, around in boxes.items():
            assert name == other or not overlap(box, around)
    for route in layout.routes:
        check_route(route.path, boxes, layout)


def check_route(path: str, boxes: dict[str, tuple[float, float, float, float]], layout: Layout) -> None:
    for x, y in points(path):
        assert -0.2 <= x <= layout.width + 0.2 and -0.2 <= y <= layout.height + 0.2
        for left, top, width, height in boxes.values():
            assert not (left + 0.2 < x < left + width - 0.2 and top + 0.2 < y < top + height - 0.2)


def overlap(one: tuple[float, float, float, float], two: tuple[float, float, float, float]) -> bool:
    return (
        one[0] < two[0] + two[2] and two[0] < one[0] + one[2] and one[1] < two[1] + two[3] and two[1] < one[1] + one[3]
    )


def points(path: str) -> list[tuple[float, float]]:
    """Points along an SVG path of M, L, H, V, Q and C."""
    x = y = 0.0
    found: list[tuple[float, float]] = []
    for command, text in re.findall(r"([MLHVQC])([^MLHVQC]*)", path):
        numbers = [float(each) for each in re.findall(r"-?[\d.]+", text)]
        if command == "H":
            ends = [(numbers[0], y)]
        elif command == "V":
            ends = [(x, numbers[0])]
        else:
            ends = list(zip(numbers[::2], numbers[1::2], strict=True))
        controls = [(x, y), *ends]
        if command != "M":
            found += [bezier(controls, step / 12) for step in range(13)]
        x, y = ends[-1]
    return found


def bezier(controls: list[tuple[float, float]], t: float) -> tuple[float, float]:
    while len(controls) > 1:
        controls = [(a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t) for a, b in pairwise(controls)]
    return controls[0]
