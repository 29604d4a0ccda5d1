"""Virtual environments by content: built once, whole or not at all, with Skylift and without what else is here."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_wheels import make_wheel

from skylift.compute.environments import (
    EnvironmentFailed,
    building,
    built_size,
    drop_unused,
    environment_python,
    environment_root,
    limits,
    read_spec,
    resolving,
    uv,
    write_spec,
)
from skylift.compute.environments.ours import conflicts, needed_for, our_places, surroundings
from skylift.compute.environments.resolving import resolve
from skylift.compute.environments.uv import ToolFailed
from skylift.ports.environments import EnvironmentSpec
from skylift.stores.files import FileBlobStore
from skylift.testing.backend_harness import until

pytestmark = pytest.mark.skipif(uv.find_uv() is None, reason="needs uv")


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobStore:
    return FileBlobStore(str(tmp_path / "blobs"))


def spec_of(blobs: FileBlobStore, *lines: str, **options: Any) -> str:
    return write_spec(EnvironmentSpec(requirements=lines, **options), blobs)


def said(python: Path, code: str) -> str:
    done = subprocess.run([python, "-P", "-c", code], capture_output=True, text=True, env=surroundings(python))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_has_its_packages_and_skylift_and_nothing_else(tmp_path: Path, blobs: FileBlobStore) -> None:
    digest = spec_of(blobs, make_wheel(tmp_path / "wheels", "tinyone", "1.0"))
    python = environment_python(digest, blobs, tmp_path / "environments")
    code = (
        "import tinyone, skylift.compute.worker.main, msgspec, importlib.util as u; "
        "print(tinyone.VERSION, u.find_spec('pytest'), u.find_spec('numpy'))"
    )
    assert said(python, code) == "1.0 None None"


def test_the_same_document_is_built_once(tmp_path: Path, blobs: FileBlobStore, monkeypatch: Any) -> None:
    digest = spec_of(blobs, make_wheel(tmp_path / "wheels", "tinyone", "1.0"))
    built: list[Path] = []
    build = building._build

    def counted(root: Path, *rest: Any) -> None:
        built.append(root)
        time.sleep(0.1)
        build(root, *rest)

    monkeypatch.setattr(building, "_build", counted)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(environment_python(digest, blobs, tmp_path / "environments")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1 and len(set(found)) == 1 and len(found) == 4


def test_what_was_left_half_built_is_never_used(tmp_path: Path, blobs: FileBlobStore, monkeypatch: Any) -> None:
    digest = spec_of(blobs, make_wheel(tmp_path / "wheels", "tinyone", "1.0"))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(building, "_remove", lambda root: None)  # as if the process had been killed
        patched.setattr(building, "_install", killed)
        with pytest.raises(KeyboardInterrupt):
            environment_root(digest, blobs, tmp_path / "environments")
    [half] = [place for place in (tmp_path / "environments").iterdir() if place.is_dir()]
    (half / "left").touch()
    python = environment_python(digest, blobs, tmp_path / "environments")
    assert python.parents[1] == half and not (half / "left").exists()
    assert said(python, "import tinyone; print(tinyone.VERSION)") == "1.0"


def test_of_a_killed_builder_the_tool_that_still_installs_holds_the_lock(tmp_path: Path) -> None:
    """The next one threw away what was being written, and built in its midst."""
    root, began, go = (tmp_path / name for name in ("root", "began", "go"))
    tool = f"touch {began}; while [ ! -e {go} ]; do sleep 0.02; done"
    code = (
        "from pathlib import Path\n"
        "from skylift.compute.environments.building import _locked\n"
        "from skylift.compute.environments.uv import run_tool\n"
        f"with _locked(Path({str(root)!r})) as lock:\n"
        f"    run_tool(['sh', '-c', {tool!r}], lock=lock)\n"
    )
    builder = subprocess.Popen([sys.executable, "-c", code])
    until(began.exists)
    builder.kill()
    builder.wait()
    with building._locked(root, wait=False) as lock:
        assert lock is None
    go.touch()
    with building._locked(root) as lock:
        assert lock is not None


def test_what_the_tool_leaves_running_holds_no_lock(tmp_path: Path) -> None:
    with building._locked(tmp_path / "root") as lock:
        daemon = subprocess.Popen(["sleep", "600"], pass_fds=(lock,) if lock is not None else ())
    try:
        with building._locked(tmp_path / "root", wait=False) as lock:
            assert lock is not None
    finally:
        daemon.kill()
        daemon.wait()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path, blobs: FileBlobStore) -> None:
    """As a full disk is; it was reported as a bug."""
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFailed, match=r"nothing can be written into .*Not a directory"):
        environment_root(spec_of(blobs), blobs, tmp_path / "file" / "environments")


def test_a_full_disk_is_no_fault_of_the_packages(tmp_path: Path, blobs: FileBlobStore, monkeypatch: Any) -> None:
    """It said to change the environment."""

    def full(*_: Any) -> None:
        raise ToolFailed("failed to write to file `x`: No space left on device (os error 28)")

    monkeypatch.setattr(building, "make_venv", full)
    with pytest.raises(EnvironmentFailed, match="No space left") as caught:
        environment_root(spec_of(blobs), blobs, tmp_path / "environments")
    assert "make room" in (caught.value.hint or "")


def test_an_environment_of_somebody_else_is_used(tmp_path: Path, blobs: FileBlobStore, monkeypatch: Any) -> None:
    """It was built again, into a folder that is not ours."""
    root = environment_root(spec_of(blobs), blobs, tmp_path / "environments")
    os.utime(root / "skylift-environment.json", (1, 1))

    def refused(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(building, "_build", lambda *_: pytest.fail("it was built again"))
    assert environment_root(spec_of(blobs), blobs, tmp_path / "environments") == root


def test_passwords_in_what_a_tool_says_are_left_out() -> None:
    with pytest.raises(uv.ToolFailed) as caught:
        uv.run_tool(["sh", "-c", "echo 'cannot reach https://me:hidden@example.org/simple' >&2; exit 1"])
    assert str(caught.value) == "cannot reach https://…@example.org/simple"


def test_a_package_that_is_not_there_is_said_in_the_tools_words(tmp_path: Path, blobs: FileBlobStore) -> None:
    missing = tmp_path / "nowhere-1.0-py3-none-any.whl"
    with pytest.raises(EnvironmentFailed, match="nowhere") as problem:
        environment_python(spec_of(blobs, f"nowhere @ {missing.as_uri()}"), blobs, tmp_path / "environments")
    assert problem.value.hint
    assert not [place for place in (tmp_path / "environments").iterdir() if place.is_dir()]


def test_versions_that_skylift_cannot_run_with_are_refused(tmp_path: Path, blobs: FileBlobStore) -> None:
    with pytest.raises(EnvironmentFailed, match=r"msgspec==0\.17.*Skylift itself needs msgspec>=0\.19"):
        environment_python(spec_of(blobs, "msgspec==0.17"), blobs, tmp_path / "environments")
    inside = make_wheel(tmp_path / "wheels", "msgspec", "0.18.1")
    with pytest.raises(EnvironmentFailed, match=r"msgspec==0\.18\.1"):
        environment_python(spec_of(blobs, inside), blobs, tmp_path / "environments")


def test_bounds_are_compared_as_numbers() -> None:
    assert conflicts({"msgspec": "0.19.0", "rich": "13.10", "jsonatapy": "2.10", "numpy": "0.1"}) == []
    assert len(conflicts({"jsonatapy": "3.0", "rich": "13.6.9"})) == 2


def test_another_python_is_refused(tmp_path: Path, blobs: FileBlobStore) -> None:
    with pytest.raises(EnvironmentFailed, match=r"Python 3\.7"):
        environment_python(spec_of(blobs, python="3.7"), blobs, tmp_path / "environments")


def test_a_blob_that_is_no_document_is_refused(tmp_path: Path, blobs: FileBlobStore) -> None:
    with pytest.raises(EnvironmentFailed, match="not the document"):
        environment_python(blobs.put(b"[]"), blobs, tmp_path / "environments")
    assert read_spec(spec_of(blobs, "a==1"), blobs).requirements == ("a==1",)


def test_what_nobody_used_is_dropped(tmp_path: Path, blobs: FileBlobStore) -> None:
    cache = tmp_path / "environments"
    digests = [spec_of(blobs, make_wheel(tmp_path / "wheels", name, "1.0")) for name in ("tinyone", "tinytwo")]
    old, young = (environment_root(digest, blobs, cache) for digest in digests)
    long_ago = time.time() - 10_000
    os.utime(old / building._MARK, (long_ago, long_ago))
    now_ms = int(time.time() * 1000)
    count, freed = drop_unused(cache, now_ms, dry_run=True)
    assert count == 1 and freed > 500 and old.exists()
    assert drop_unused(cache, now_ms)[0] == 1
    assert not old.exists() and young.exists()
    assert environment_root(digests[0], blobs, cache) == old and old.exists()


def test_asking_for_it_keeps_it(tmp_path: Path, blobs: FileBlobStore) -> None:
    digest = spec_of(blobs)
    root = environment_root(digest, blobs, tmp_path / "environments")
    long_ago = time.time() - 10_000
    os.utime(root / building._MARK, (long_ago, long_ago))
    environment_python(digest, blobs, tmp_path / "environments")
    assert drop_unused(tmp_path / "environments", int(time.time() * 1000)) == (0, 0)


def test_building_does_not_see_what_is_withheld(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SKYLIFT_TEST_SECRET", "s3cret")
    shown = uv.run_tool(["/usr/bin/env"])
    assert "s3cret" in shown
    assert "s3cret" not in uv.run_tool(["/usr/bin/env"], withheld=["SKYLIFT_TEST_SECRET"])


def test_artifacts_elsewhere_bring_what_reaches_them() -> None:
    assert needed_for("s3://bucket/x") == "s3fs" and needed_for("/home/blobs") is None
    if "s3fs" in our_places("s3fs"):
        assert {"aiobotocore", "botocore"} <= set(our_places("s3fs")) and "botocore" not in our_places()


def test_packages_that_are_too_large_for_a_function_are_refused_with_the_figures(
    tmp_path: Path, blobs: FileBlobStore, monkeypatch: Any
) -> None:
    cache = tmp_path / "environments"
    assert limits.LIMITS["function"].unzipped_mib == 250
    smaller = limits.Limits(unzipped_mib=2, platform="x86_64-manylinux2014")
    monkeypatch.setattr(limits, "LIMITS", {"function": smaller})
    small = spec_of(blobs, make_wheel(tmp_path / "wheels", "tinyone", "1.0"))
    large = spec_of(blobs, make_wheel(tmp_path / "wheels", "bulky", "1.0", filler=3 * 2**20))
    limits.refuse_unfit("train", small, {"function"}, blobs, cache)
    limits.refuse_unfit("train", large, {"function", "container"}, blobs, cache)
    assert built_size(large, blobs, cache) > 3 * 2**20
    with pytest.raises(
        EnvironmentFailed, match=r"task train.*takes 3 MiB unzipped, and a function allows 2"
    ) as problem:
        limits.refuse_unfit("train", large, {"function"}, blobs, cache)
    assert "image=" in str(problem.value.hint)


def test_a_class_without_this_python_is_refused(tmp_path: Path, blobs: FileBlobStore, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "LIMITS", {"function": limits.Limits(pythons=("3.7",))})
    with pytest.raises(EnvironmentFailed, match=r"a function has 3\.7"):
        limits.refuse_unfit("train", spec_of(blobs), {"function"}, blobs, tmp_path / "environments")


def test_what_was_resolved_once_stays_so(tmp_path: Path, monkeypatch: Any) -> None:
    line = make_wheel(tmp_path / "wheels", "tinyone", "1.0")
    first = resolve([line], tmp_path / "cache")
    monkeypatch.setattr("skylift.compute.environments.resolving.run_tool", lambda *_, **__: pytest.fail("asked again"))
    assert resolve([line], tmp_path / "cache") == first and "tinyone" in first[0]


def test_what_was_kept_and_lost_its_content_is_asked_again(tmp_path: Path, monkeypatch: Any) -> None:
    """After a loss of power the file may be empty: the task had no packages then."""
    answers = iter([("a==1",), ("a==2",), ("a==3",)])
    monkeypatch.setattr(resolving, "find_uv", lambda: "uv")
    monkeypatch.setattr(resolving, "_ask", lambda program, lines: next(answers))
    assert [resolving.resolve(["a"], tmp_path) for _ in range(2)] == [("a==1",)] * 2
    [kept] = (tmp_path / "resolved").iterdir()
    kept.write_bytes(b"")
    assert resolving.resolve(["a"], tmp_path) == ("a==2",)
    kept.write_bytes(b"\xff")
    assert [resolving.resolve(["a"], tmp_path) for _ in range(2)] == [("a==3",)] * 2


@pytest.mark.slow
def test_without_uv_venv_and_pip_do_it(tmp_path: Path, blobs: FileBlobStore, monkeypatch: Any) -> None:
    monkeypatch.setattr(uv, "find_uv", lambda: None)
    monkeypatch.setattr("skylift.compute.environments.resolving.find_uv", lambda: None)
    line = make_wheel(tmp_path / "wheels", "tinyone", "1.0")
    assert resolve([line], tmp_path / "cache") == (line,)
    python = environment_python(spec_of(blobs, line), blobs, tmp_path / "environments")
    assert said(python, "import tinyone, skylift; print(tinyone.VERSION)") == "1.0"


def test_an_index_that_cannot_be_reached_is_no_fault_of_the_requirement(monkeypatch: Any) -> None:
    def away(*_: Any, **__: Any) -> str:
        raise ToolFailed("Failed to fetch: `https://index.invalid/humanize/`\ncause: client error (Connect)")

    monkeypatch.setattr("skylift.compute.environments.resolving.run_tool", away)
    with pytest.raises(EnvironmentFailed) as caught:
        resolve(["humanize==4.9.0"], None)
    assert "index.invalid" in caught.value.message and "lock file" in (caught.value.hint or "")


def test_a_network_that_was_switched_off_is_no_fault_of_the_requirement(monkeypatch: Any) -> None:
    def off(*_: Any, **__: Any) -> str:
        raise ToolFailed("a was not found in the cache\nhint: unavailable because the network was disabled")

    monkeypatch.setattr("skylift.compute.environments.resolving.run_tool", off)
    with pytest.raises(EnvironmentFailed) as caught:
        resolve(["humanize==4.9.0"], None)
    assert "with a network" in (caught.value.hint or "")
