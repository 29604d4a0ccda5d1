"""A development box on EC2, as moto's server plays it, by the command line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from moto_server import REGION, Aws, unique

from skylift.box.box import STOPPED, UNTIL, BoxTrouble
from skylift.box.ec2 import Ec2Box
from skylift.box.make import BoxHolder
from skylift.cli.main import cli, run_cli
from skylift.config import load_config
from skylift.config.box import BoxSettings
from skylift.runtime import Runtime
from skylift.server.sweeper import keep_to_hours

NEVER = "sun 00:00-00:01"
ALWAYS = "mon-sun 00:00-23:59, mon-sat 23:59-24:00"


class There:
    """An instance, and a project whose box it is."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.ec2, self.url, self.folder = aws.client("ec2"), aws.url, folder
        self.name = unique("dev")
        image = self.ec2.describe_images()["Images"][0]["ImageId"]
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": self.name}]}]
        made = self.ec2.run_instances(
            ImageId=image, InstanceType="m5.large", MinCount=1, MaxCount=1, TagSpecifications=tags
        )
        self.id = str(made["Instances"][0]["InstanceId"])
        self.box("name", self.name)

    def box(self, key: str, value: str) -> None:
        (self.folder / "skylift.toml").write_text(
            f'[box]\n{key} = "{value}"\nregion = "{REGION}"\nendpoint_url = "{self.url}"\nlease = "2h"\n'
        )

    def found(self) -> dict[str, Any]:
        (one,) = self.ec2.describe_instances(InstanceIds=[self.id])["Reservations"][0]["Instances"]
        return dict(one)

    def tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.found().get("Tags", ())}

    def does(self, *arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(cli, ["box", *arguments, "--json"], standalone_mode=False)
        assert result.exception is None, result.exception
        said: dict[str, Any] = msgspec.json.decode(result.stdout)
        return said


@pytest.fixture
def there(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> There:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SKYLIFT_URL", raising=False)
    monkeypatch.setattr("skylift.box.ec2.POLL_S", 0.01)
    return There(aws, tmp_path)


def test_start_stop_and_status(there: There) -> None:
    stopped = there.does("stop")
    assert (stopped["state"], there.found()["State"]["Name"]) == ("stopped", "stopped")
    assert STOPPED in there.tags() and UNTIL not in there.tags()
    started = there.does("start", "--for", "3h")
    assert (started["state"], started["id"], started["name"]) == ("running", there.id, there.name)
    assert UNTIL in there.tags() and STOPPED not in there.tags()
    there.box("id", there.id)
    assert there.does("status")["until"] == started["until"]
    plain = CliRunner().invoke(cli, ["box", "status"], standalone_mode=False)
    assert "left)" in plain.stdout and there.id in plain.stdout


def test_resize(there: There) -> None:
    assert there.does("resize", "m5.xlarge") == {**there.does("status"), "type": "m5.xlarge", "state": "running"}
    assert there.found()["InstanceType"] == "m5.xlarge"
    there.does("stop")
    assert there.does("resize", "m5.large")["state"] == "stopped"


@pytest.mark.parametrize(
    ("type", "words"),
    [("m6g.large", "arm64"), ("m5.gigantic", "InvalidInstanceType")],
)
def test_a_type_that_it_cannot_be_is_refused_while_it_runs_on(
    there: There, type: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["box", "resize", type]) == 2
    assert words in capsys.readouterr().err
    assert (there.found()["State"]["Name"], there.found()["InstanceType"]) == ("running", "m5.large")


def test_office_hours_are_tags_and_are_applied(there: There) -> None:
    assert there.does("schedule", "--hours", ALWAYS, "--zone", "Europe/Zurich")["hours"] == f"{ALWAYS} Europe/Zurich"
    assert there.tags()["skylift:zone"] == "Europe/Zurich"
    there.ec2.stop_instances(InstanceIds=[there.id])
    assert there.does("schedule", "--apply")["state"] == "running"
    there.does("schedule", "--hours", NEVER)
    assert there.does("schedule", "--apply")["state"] == "running", "launched less than a lease ago"
    there.ec2.create_tags(Resources=[there.id], Tags=[{"Key": UNTIL, "Value": "2020-01-01T00:00:00Z"}])
    assert there.does("schedule", "--apply")["state"] == "stopped"
    there.does("schedule", "--clear")
    assert "skylift:hours" not in there.tags()


def test_sweepers_stop_it_and_the_server_starts_it(there: There) -> None:
    there.ec2.create_tags(Resources=[there.id], Tags=[{"Key": UNTIL, "Value": "2020-01-01T00:00:00Z"}])
    config = load_config()
    assert config.box is not None
    with Runtime(config) as runtime:
        assert [one.id for one in runtime.leased().over] == [there.id]
        assert there.found()["State"]["Name"] == "running"
        swept = runtime.sweep()
    assert ([one.kind for one in swept.over], swept.troubles) == (["box"], ())
    assert there.found()["State"]["Name"] == "stopped"
    assert BoxHolder(config.box).leased() == ()
    there.does("schedule", "--hours", ALWAYS)
    keep_to_hours(config.box)
    assert there.found()["State"]["Name"] == "running"


def test_what_goes_wrong_is_told(there: There, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> str:
        assert run_cli(["box", *arguments]) == 2
        return capsys.readouterr().err

    there.box("id", "i-0123456789abcdef0")
    assert "InvalidInstanceID.NotFound" in (said := told("status")) and "[box] id and region" in said
    there.box("name", "nobody")
    assert "one machine must have the name 'nobody'; there are: none" in told("start")
    there.box("id", there.id)
    assert "longer than a year" in told("start", "--for", "9000000d")
    there.ec2.terminate_instances(InstanceIds=[there.id])
    assert "was terminated" in told("start")
    assert "--zone without --hours" in told("schedule", "--zone", "UTC")
    assert "contradict" in told("schedule", "--clear", "--hours", NEVER)
    assert "no time zone" in told("schedule", "--hours", NEVER, "--zone", "Mars")
    settings = (there.folder / "skylift.toml").read_text()
    for wrong, said in (
        (settings.replace(f'"{REGION}"', '"mars-1"'), "not EC2"),
        (settings.replace(there.url, "nonsense"), "Invalid endpoint: nonsense"),
        (settings.replace('"2h"', '"9000000d"'), "longer than a year"),
    ):
        (there.folder / "skylift.toml").write_text(wrong)
        assert said in told("status")
    (there.folder / "skylift.toml").write_text("")
    assert "no development box is set up" in told("status")
    (there.folder / "skylift.toml").write_text("[box]\n")
    assert "give one of id and name" in told("status")
    (there.folder / "skylift.toml").write_text('[box]\ntype = "x"\n')
    assert "unknown field `type`" in told("status")


def test_a_box_that_does_not_come_up_is_waited_for_only_so_long(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 200))
    settings = BoxSettings(id=there.id, region=REGION, endpoint_url=there.url)
    slow = Ec2Box(settings, sleep=lambda seconds: None, clock=lambda: float(next(clock)))
    look = slow.look
    stuck = lambda: type(look())(**{**{f: getattr(look(), f) for f in look().__struct_fields__}, "state": "starting"})  # noqa: E731
    monkeypatch.setattr(slow, "look", stuck)
    with pytest.raises(BoxTrouble, match="is starting after 600 s"):
        slow.start(stuck())


def test_nobody_answers(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    began = time.monotonic()
    with pytest.raises(BoxTrouble, match="cannot be asked"):
        Ec2Box(BoxSettings(id=there.id, region=REGION, endpoint_url="http://127.0.0.1:1")).look()
    assert time.monotonic() - began < 30
