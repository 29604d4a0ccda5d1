"""`skylift advise` as a command: a file or questions, four formats, and errors that say what to mend."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from skylift.advice.constraints import read
from skylift.advice.questions import questions
from skylift.advice.reading import read_project
from skylift.cli.advise import advise
from skylift.cli.main import run_cli

EXAMPLES = Path(__file__).parents[3] / "examples" / "advice"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_file_is_advised_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["advise", str(EXAMPLES / "shop_search.yaml"), "--constraints", "bound.json"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Advice: Shop search")
    assert "Yes, the cloud is right for it: machines that serve all the time" in out
    assert "\n+4: an answer must come within 200 ms" in out
    assert max(len(line) for line in out.splitlines()) <= 80
    bound = read(Path("bound.json").read_text(encoding="utf-8"), "bound.json")
    assert bound.spot is False
    assert bound.because["spot"][0].startswith("it must work again within 10 min")


@pytest.mark.parametrize(("columns", "widest"), [("44", 44), ("100", 100), ("300", 110)])
def test_the_report_is_as_wide_as_the_terminal(
    columns: str, widest: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run_cli(["advise", str(EXAMPLES / "desk.yaml")]) == 0
    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in capsys.readouterr().out.splitlines()]
    assert widest - 15 < max(len(line) for line in lines if len(line.split()) > 1) <= widest  # no word is broken


def test_json_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["advise", str(EXAMPLES / "startup.yaml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recommended"] == "functions"
    published = next(one for one in found["figures"] if one["id"] == "published-break-even")
    assert round(published["value"]) == 3_097_207
    assert published["formula"] == "instance x hours / request"
    assert found["constraints"]["skylift_constraints"] == 1


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.md", "# Advice: Plant doctor"),
        ("a.html", "<!doctype html>"),
        ("a.json", '{\n  "project": "Plant doctor"'),
    ],
)
def test_the_format_is_that_of_the_file(name: str, begins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run_cli(["advise", str(EXAMPLES / "startup.yaml"), "--out", name]) == 0
    assert Path(name).read_text(encoding="utf-8").startswith(begins)
    assert [path.name for path in Path().iterdir()] == [name]


def test_a_format_that_is_named_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["advise", str(EXAMPLES / "desk.yaml"), "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("# Advice: Survey of pupils")
    assert run_cli(["advise", str(EXAMPLES / "desk.yaml"), "--format", "terminal", "--out", "a.txt"]) == 0
    assert Path("a.txt").read_text(encoding="utf-8").startswith("Advice: Survey of pupils")


def test_without_matplotlib_a_page_has_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run_cli(["advise", str(EXAMPLES / "startup.yaml"), "--out", "a.html"]) == 0
    assert "pip install 'skylift[plots]'" in capsys.readouterr().err
    assert "<svg" not in Path("a.html").read_text(encoding="utf-8")


def test_with_matplotlib_pictures_stand_in_the_page_and_beside_markdown() -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    assert run_cli(["advise", str(EXAMPLES / "startup.yaml"), "--out", "a.html"]) == 0
    page = Path("a.html").read_text(encoding="utf-8")
    assert page.count("<svg ") == 2
    assert "break-even: 3,287,128" in page
    assert run_cli(["advise", str(EXAMPLES / "startup.yaml"), "--out", "b.md"]) == 0
    assert "](b-function-or-instance.svg)" in Path("b.md").read_text(encoding="utf-8")
    assert Path("b-function-or-instance.svg").stat().st_size > 5000


@pytest.mark.parametrize(
    ("text", "arguments", "says"),
    [
        ("project: x\ndata: {sise: 1}", [], "error[PROJECT]: p.yaml, line 2: there is no question data.sise"),
        ("project: x\nproject: y", [], "error[PROJECT]: p.yaml, line 2: 'project' stands there for the second time"),
        ("project: x\nhardware: {hours_per_month: -3}", [], "hardware.hours_per_month is -3: it must be at least 0"),
        (
            "project: x\nhardware: {use: steady, hours_per_month: 3}",
            [],
            "hardware.use is steady, but hardware.hours_per_month is 3 of 730",
        ),
        ("project: x\nregion: mars-1", [], "error[PROJECT]: p.yaml, line 2: region is 'mars-1'"),
        (
            "project: x\nhardware: {gpu: v1000}",
            [],
            "p.yaml, line 2: hardware.gpu is 'v1000': no cloud has machines with it",
        ),
        ("project: x\nhardware: {gpu: v1000}", [], "did you mean V100,"),
        ("project: x\nhardware:\n  gpu: A100 80GB", [], "p.yaml, line 3: hardware.gpu is 'A100 80GB'"),
        ("project: x\nhardware:\n  gpu: A100 80GB", [], "did you mean A100-80GB?"),
        ("project: x\nhardware: {machine: p3.8xlarg}", [], "did you mean p3.8xlarge"),
        (
            "project: x\nrequests: {instance: inf1.large}",
            [],
            "requests.instance is 'inf1.large': there is no such machine",
        ),
        ("project: x\nrequests: {instance: inf1.large}", [], "did you mean inf1.xlarge"),
        (
            "project: x\nhardware: {machine: n1-standard-4}",
            [],
            "a machine of gcp, but aws is taken where no cloud is named",
        ),
        ("project: x\ncloud: azure\nhardware: {machine: m5.large}", [], "a machine of aws, but cloud is azure"),
        ("project: x\nhardware: {gpu: \x1b[31m<script>}", [], "not valid YAML"),
        ('project: x\nhardware: {gpu: "\\e[31m<script>"}', [], "hardware.gpu is '\\x1b[31m<script>'"),
        ("\xff", [], "error[PROJECT]: p.yaml: is no text in UTF-8"),
        ("project: x", ["--out", "a.pdf"], "does not say which format"),
        ("project: x", ["--json", "--format", "html"], "contradict each other"),
        ("project: x", ["--save", "b.yaml"], "leave PROJECT out"),
        ("project: x", ["--out", "nowhere/a.md"], "error[OS]"),
        ("project: x", ["--format", "pdf"], "Invalid value"),
    ],
)
def test_bad_input_is_told_in_a_line(
    text: str, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("p.yaml").write_bytes(text.encode("latin-1"))
    assert run_cli(["advise", "p.yaml", *arguments]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("gpu", ["v100", "V100", "A100-80gb", "none", "NONE", "h100"])
def test_a_gpu_is_known_whatever_its_case(gpu: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.yaml").write_text(f"project: x\nhardware: {{gpu: {gpu}}}", encoding="utf-8")
    assert run_cli(["advise", "p.yaml"]) == 0


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["advise", "missing.yaml"]) == 2
    assert "missing.yaml" in capsys.readouterr().err


ANSWERED: dict[str, str] = {
    "project": "Plant doctor",
    "purpose": "Inference",
    "data.size": "20 GB",
    "data.sensitivity": "none",
    "security.cleared": "no",
    "hardware.gpu": "none",
    "hardware.use": "bursts",
    "requests.per_month": "500,000",
    "requests.latency": "3 s",
}


def typed(*answered: dict[str, str], stop: str | None = None, gpus: bool = False) -> str:
    """What somebody types who answers these and leaves the rest open."""
    held = {path: text for each in answered for path, text in each.items()}
    lines = []
    for one in questions():
        if one.path == stop:
            break
        if one.path == "hardware.gpus" and not gpus:
            continue
        lines.append(held.get(one.path, ""))
    return "\n".join(lines) + "\n"


def ask(text: str, *arguments: str) -> Result:
    return CliRunner().invoke(advise, list(arguments), input=text)


def saved(name: str = "advice.yaml") -> Any:
    return read_project(Path(name).read_text(encoding="utf-8"), name)


def test_without_a_file_it_asks_and_saves() -> None:
    done = ask(typed(ANSWERED))
    assert done.exit_code == 0, done.output
    assert "Advice: Plant doctor" in done.output
    found = saved()
    assert found.purpose == ("inference",)
    assert str(found.data.size) == "20 GB"
    assert found.security.cleared is False
    assert found.requests.per_month == 500_000
    assert "data.location" in found.skipped
    assert "hardware.gpus" not in found.skipped


def test_a_saved_questionnaire_gives_the_same_report_as_a_file() -> None:
    asked = ask(typed(ANSWERED), "--save", "mine.yaml")
    assert asked.exit_code == 0
    told = CliRunner().invoke(advise, ["mine.yaml"])
    assert told.output.startswith("Advice: Plant doctor")
    assert asked.output.endswith(told.output)
    again = ask("", "--save", "mine.yaml")
    assert again.output.endswith(told.output)


def test_a_questionnaire_goes_on_where_it_stopped() -> None:
    first = ask(typed(ANSWERED, stop="data.sensitivity"))
    assert first.exit_code == 1
    assert "`skylift advise --save advice.yaml` goes on" in first.output
    half = saved()
    assert str(half.data.size) == "20 GB"
    assert half.data.sensitivity is None
    whole = typed(ANSWERED).splitlines()
    done = typed(ANSWERED, stop="data.sensitivity").splitlines()
    second = ask("\n".join(whole[len(done) :]) + "\n")
    assert second.exit_code == 0, second.output
    assert "What is the project called?" not in second.output
    assert saved().data.sensitivity == ("none",)
    assert saved().requests.per_month == 500_000


def test_what_was_left_open_is_asked_again() -> None:
    assert ask(typed(ANSWERED)).exit_code == 0
    open_before = saved().skipped
    assert "organisation.cloud" in open_before
    lines = ["" if path != "organisation.cloud" else "allowed" for path in open_before]
    done = ask("\n".join(lines) + "\n", "--again")
    assert done.exit_code == 0, done.output
    assert saved().organisation.cloud == "allowed"
    assert set(saved().skipped) == set(open_before) - {"organisation.cloud"}


def test_a_wrong_answer_is_asked_for_again() -> None:
    text = typed(ANSWERED).replace("20 GB\n", "?\nmuch\n-2 GB\n20 GB\n", 1)
    done = ask(text)
    assert done.exit_code == 0, done.output
    assert "data.size: size of data, for example" in done.output
    assert "'much' is no size of data" in done.output
    assert "less than nothing" in done.output
    assert str(saved().data.size) == "20 GB"


def test_an_answer_that_contradicts_another_is_asked_for_again() -> None:
    both = {**ANSWERED, "requests.per_month": "0"}
    text = typed(both).replace("\n0\n", "\n0\n500000\n", 1)
    done = ask(text)
    assert done.exit_code == 0, done.output
    assert "purpose is inference, but requests.per_month is 0" in done.output
    assert saved().requests.per_month == 500_000


def test_the_name_cannot_be_left_open() -> None:
    done = ask("\n\n" + typed(ANSWERED))
    assert done.exit_code == 0
    assert done.output.count("What is the project called?") == 3
    assert saved().project == "Plant doctor"


def test_a_damaged_file_of_answers_is_left_alone() -> None:
    Path("advice.yaml").write_text("project: x\nproject: y\n", encoding="utf-8")
    done = ask("", "--save", "advice.yaml")
    assert "second time" in str(done.exception)
    assert Path("advice.yaml").read_text(encoding="utf-8") == "project: x\nproject: y\n"
