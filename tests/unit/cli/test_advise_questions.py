"""The questionnaire of `skylift advise`: going back, help, stopping, and answers that it does not take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from skylift.advice.questions import before, clear, question, questions
from skylift.advice.reading import read_project
from skylift.cli import questionnaire
from skylift.cli.advise import advise


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ask(*typed: str, save: str = "advice.yaml") -> Result:
    return CliRunner().invoke(advise, ["--save", save], input="".join(f"{line}\n" for line in typed))


def saved(name: str = "advice.yaml") -> Any:
    return read_project(Path(name).read_text(encoding="utf-8"), name)


def test_one_goes_back_and_corrects() -> None:
    done = ask("Faces", "a sentence", "training", "<", "inference", "<", "<", "a better one")
    found = saved()
    assert (found.description, found.purpose) == ("a better one", ("inference",))
    assert done.output.count("In a sentence: what is it?") == 2
    assert "now: training" in done.output and "now: a sentence" in done.output


def test_back_at_the_first_question_says_so_and_asks_again() -> None:
    done = ask("<", "Faces", "<", "")
    assert "this is the first question" in done.output
    assert "now: Faces" in done.output
    assert saved().project == "Faces"


def test_enter_keeps_an_answer_and_a_dash_takes_it_away() -> None:
    ask("Faces", "a sentence", "training", "aws", "<", "", "<", "<", "-")
    found = saved()
    assert (found.purpose, found.cloud, found.skipped) == (None, "aws", ("purpose",))
    ask("us-east-1", save="advice.yaml")
    assert saved().region == "us-east-1"


def test_the_name_cannot_be_taken_away() -> None:
    done = ask("Faces", "<", "-", "")
    assert "a name is needed" in done.output
    assert saved().project == "Faces"


def test_what_was_skipped_can_be_answered_by_going_back() -> None:
    ask("Faces", "", "<", "a sentence")
    assert (saved().description, saved().skipped) == ("a sentence", ())


def test_questions_that_do_not_concern_are_not_gone_back_to() -> None:
    gpus, machine = question("hardware.gpus"), question("hardware.machine")
    assert gpus is not None and machine is not None
    assert before(machine, {"hardware": {"gpu": "V100"}}) == gpus
    assert before(machine, {"hardware": {"gpu": "none"}}) == question("hardware.gpu")
    assert before(questions()[0], {}) is None


def test_help_says_what_can_be_answered_and_how_to_move() -> None:
    done = ask("?", "Faces")
    assert "project: text" in done.output and "< goes back" in done.output
    assert saved().project == "Faces"


def test_stopping_says_what_is_kept_and_how_to_go_on() -> None:
    done = ask("Faces", "a sentence")
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert "2 answers kept in advice.yaml, " in said and "questions open: `skylift advise --save advice.yaml`" in said
    assert "`skylift advise advice.yaml` advises on what there is" in said
    none = ask(save="my answers.yaml")
    assert "Nothing was answered, so nothing is kept: `skylift advise --save 'my answers.yaml'`" in none.output
    assert not Path("my answers.yaml").exists()


def test_an_interrupt_anywhere_keeps_what_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter(["Faces", "a sentence"])

    def prompt(*_: object, **__: object) -> str:
        text = next(given, None)
        if text is None:
            raise KeyboardInterrupt
        return text

    monkeypatch.setattr(questionnaire.click, "prompt", prompt)
    with pytest.raises(click.Abort):
        questionnaire.ask(Path("advice.yaml"), again=False)
    assert saved().description == "a sentence"


def test_names_that_nobody_knows_are_asked_for_again() -> None:
    leave = [one.path for one in questions()].index("hardware.gpu")
    typed = ["Faces", *[""] * (leave - 1)]
    done = ask(*typed, "v1000", "v100", "2", "p3.8xlarg", "p3.8xlarge")
    assert "hardware.gpu is 'v1000': no cloud has machines with it" in done.output
    assert "did you mean V100" in done.output and "did you mean p3.8xlarge" in done.output
    hardware = saved().hardware
    assert (hardware.gpu, hardware.gpus, hardware.machine) == ("v100", 2, "p3.8xlarge")


def test_a_region_outside_the_law_is_told_at_once() -> None:
    region = [one.path for one in questions()].index("region")
    law = [one.path for one in questions()].index("data.residency")
    done = ask("Faces", *[""] * (region - 1), "us-east-1", *[""] * (law - region - 1), "gdpr", "us")
    assert "region is us-east-1, but the data must stay in the European Union" in done.output
    assert "go back with <" in done.output
    assert saved().data.residency == ("us",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("project: x\nhardware: {gpu: none, gpus: 2}\n", "answers contradict each other: hardware.gpu is none"),
        ("project: x\nhardware: {gpu: v1000}\n", "advice.yaml, line 2: hardware.gpu is 'v1000'"),
        ("project: x\nregion: mars\n", "advice.yaml, line 2: region is 'mars'"),
        ("\xff", "advice.yaml: is no text in UTF-8"),
        ("- a\n", "advice.yaml: holds [a], no answers"),
    ],
)
def test_a_file_with_which_no_answer_would_do_is_refused_before_a_question(text: str, says: str) -> None:
    Path("advice.yaml").write_bytes(text.encode("latin-1"))
    done = ask("Faces")
    assert says in str(done.exception) and "What is" not in done.output
    assert Path("advice.yaml").read_bytes() == text.encode("latin-1")


def test_a_place_where_nothing_can_be_kept_is_told_before_a_question() -> None:
    done = ask("Faces", save="nowhere/advice.yaml")
    assert "there is no folder" in str(done.exception) and "What is" not in done.output


def test_clearing_leaves_nothing_behind() -> None:
    answers: dict[str, Any] = {"project": "x", "data": {"size": "1 GB"}, "skipped": ["data.access"]}
    clear(answers, "data.size")
    clear(answers, "data.access")
    clear(answers, "hardware.gpu")
    assert answers == {"project": "x"}
