"""What the container engine is told, and how its answers are read: podman and docker."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

import pytest

from skylift.compute.container import rootfs
from skylift.compute.container.engine import (
    ContainerEngine,
    ContainerFailed,
    Mount,
    NoContainerEngine,
    Spec,
    find_engine,
)
from skylift.compute.container.place import parsed_mount

SPEC = Spec(
    name="one",
    image="img:1",
    command=("/bin/python", "-P"),
    mounts=(Mount("/a", "/b"), Mount("/c", "/d", True)),
    variables={"NAME": "value"},
    labels={"skylift.run": "r"},
    memory_mib=256,
    cpus=0.5,
    pids=7,
    network="none",
    gpus=(0, 2),
    fixed_root=True,
    pidfile="/p",
)


class Recorded(ContainerEngine):
    """An engine that is a script: it writes down what it is told."""

    def __init__(self, folder: Path, kind: str, says: str = "", status: int = 0) -> None:
        script = folder / kind
        script.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {folder}/said\ncat <<'X'\n{says}\nX\nexit {status}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        super().__init__((str(script),), kind)  # type: ignore[arg-type]
        self.folder = folder

    def said(self) -> list[str]:
        return (self.folder / "said").read_text().splitlines()


def after(words: list[str], option: str) -> list[str]:
    return [words[place + 1] for place, word in enumerate(words) if word == option]


@pytest.mark.parametrize("kind", ["podman", "docker"])
def test_limits_become_options_of_both_engines(tmp_path: Path, kind: str) -> None:
    engine = Recorded(tmp_path, kind)
    engine.start(SPEC)
    said = engine.said()
    assert said[0] == "run" and {"--detach", "--rm", "--read-only"} <= set(said)
    assert after(said, "--memory") == after(said, "--memory-swap") == ["256m"]
    assert after(said, "--cpus") == ["0.5"] and after(said, "--pids-limit") == ["7"]
    assert after(said, "--network") == ["none"] and after(said, "--cap-drop") == ["all"]
    assert after(said, "--volume") == ["/a:/b:ro", "/c:/d:rw"]
    assert said[said.index("img:1") :] == ["img:1", "-P"] and after(said, "--entrypoint") == ["/bin/python"]


def test_what_differs_between_the_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 100)
    podman, docker = Recorded(tmp_path, "podman"), Recorded(tmp_path, "docker")
    podman.start(SPEC)
    said = podman.said()
    assert after(said, "--device") == ["nvidia.com/gpu=0", "nvidia.com/gpu=2"]
    assert after(said, "--user") == ["0:0"] and after(said, "--conmon-pidfile") == ["/p"]
    docker.start(SPEC)
    said = docker.said()
    assert after(said, "--gpus") == ['"device=0,2"'] and "--conmon-pidfile" not in said
    assert after(said, "--user") == ["1000:100"]


def test_a_list_is_read_in_the_form_of_either(tmp_path: Path) -> None:
    podman = Recorded(
        tmp_path, "podman", '[{"Names": ["one"], "Labels": {"a": "1"}}, {"Names": ["two"], "Labels": null}]'
    )
    assert [(one.name, one.labels) for one in podman.listing({"a": "1"})] == [("one", {"a": "1"}), ("two", {})]
    assert after(podman.said(), "--filter") == ["label=a=1"]
    docker = Recorded(tmp_path, "docker", '{"Names": "one", "Labels": "a=1,b=x=y"}\n{"Names": "two", "Labels": ""}')
    assert [(one.name, one.labels) for one in docker.listing({})] == [("one", {"a": "1", "b": "x=y"}), ("two", {})]


def test_what_the_engine_says_is_passed_on(tmp_path: Path) -> None:
    engine = Recorded(tmp_path, "podman", status=125)
    (tmp_path / "podman").write_text("#!/bin/sh\necho 'Error: no room left' >&2\nexit 125\n")
    with pytest.raises(ContainerFailed, match="podman could not start the container: Error: no room left"):
        engine.start(SPEC)


def test_limits_that_nobody_here_may_give_are_no_loss(tmp_path: Path) -> None:
    """In the words of runc and of crun; no second try would help."""
    engine = Recorded(tmp_path, "podman", status=126)
    for said in ("error setting rlimit type 7: operation not permitted", "setrlimit `RLIMIT_NOFILE`: not permitted"):
        (tmp_path / "podman").write_text(f"#!/bin/sh\necho 'Error: {said}' >&2\nexit 126\n")
        with pytest.raises(NoContainerEngine, match=r"could not start the container: Error: .*rlimit") as caught:
            engine.start(SPEC)
        assert "default_ulimits" in (caught.value.hint or "")


def test_without_an_engine_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoContainerEngine, match="podman and docker cannot be found") as caught:
        find_engine("auto")
    assert "install podman" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("data", ("/p/data", "/p/data", True)),
        ("data:ro", ("/p/data", "/p/data", False)),
        ("/x:/y", ("/x", "/y", True)),
        ("/x:/y:ro", ("/x", "/y", False)),
    ],
)
def test_mounts_are_read(text: str, mount: tuple[str, str, bool]) -> None:
    assert parsed_mount(text, Path("/p")) == Mount(*mount)


@pytest.mark.parametrize("text", ["", ":/y", "/x:/y:rx", "/x:y"])
def test_mounts_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"form|absolute"):
        parsed_mount(text, Path("/p"))


def test_the_root_file_system_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "root.tar"
    with path.open("wb") as out:
        rootfs.write_archive(out)
    with tarfile.open(path) as archive:
        members = {member.name: member for member in archive}
        assert len(members) == len(archive.getnames())
    assert rootfs.python().lstrip("/") in members
    assert any(name.endswith("/json/__init__.py") for name in members)
    assert not any("/site-packages/" in name or "/test/" in name for name in members)
    for name, member in members.items():  # whatever is in a folder comes after it, and never through a link
        for parent in Path(name).parents:
            assert str(parent) == "." or members[str(parent)].isdir(), (name, parent)
        if member.issym() and not member.linkname.startswith("/"):
            target = os.path.normpath(os.path.join(os.path.dirname(name), member.linkname))  # noqa: PTH118, PTH120
            assert target in members, (name, member.linkname)


def test_the_same_interpreter_has_the_same_digest() -> None:
    assert rootfs.digest() == rootfs.digest() and len(rootfs.digest()) == 16
