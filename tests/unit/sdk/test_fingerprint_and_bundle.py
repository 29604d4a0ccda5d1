"""Code closures: what changes a task's fingerprint, and what goes into a bundle."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from skylift.sdk.bundling import make_bundle
from skylift.sdk.fingerprint import fingerprint
from skylift.stores.files import FileBlobStore
from skylift.values.bundle import Bundle, read_manifest

FLOW = """
from skylift import pipeline, task
from helper_mod import scale, UNUSED

FACTOR = {factor}

{comment}
@task(memory="{memory}")
def times(x: int) -> int:
    {docstring}
    return scale(x) * FACTOR

@pipeline
def flow(x: int) -> int:
    return times(x)
"""
HELPER = """
UNUSED = {unused}

def deeper(x):
    return x + {added}

def scale(x):
    return deeper(x)
"""


def load(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> ModuleType:
    values = {"factor": 2, "comment": "# a", "memory": "1 GiB", "docstring": '"""Doc."""', "unused": 1, "added": 1}
    values.update(changes)  # type: ignore[arg-type]
    folder.mkdir()
    (folder / "flow_mod.py").write_text(FLOW.format(**values))
    (folder / "helper_mod.py").write_text(HELPER.format(**values))
    monkeypatch.syspath_prepend(str(folder))
    for name in ("flow_mod", "helper_mod"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module("flow_mod")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"comment": "# another"}, True),
        ({"docstring": '"""Other."""'}, True),
        ({"memory": "2 GiB"}, True),
        ({"unused": 5}, True),
        ({"factor": 3}, False),
        ({"added": 2}, False),
    ],
)
def test_fingerprint_follows_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], same: bool
) -> None:
    first = fingerprint(load(tmp_path / "one", monkeypatch).times)
    second = fingerprint(load(tmp_path / "two", monkeypatch, **change).times)
    assert (first == second) is same


def test_bundle_holds_the_project_files_and_runs_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(tmp_path / "one", monkeypatch)
    blobs = FileBlobStore(tmp_path / "blobs")
    digest = make_bundle(module.flow, blobs)
    assert digest == make_bundle(module.flow, blobs)
    assert set(read_manifest(digest, blobs).files) == {"flow_mod.py", "helper_mod.py"}
    program = textwrap.dedent(
        f"""
        from skylift.stores.files import FileBlobStore
        from skylift.values.bundle import Bundle
        bundle = Bundle.load({digest!r}, FileBlobStore({str(tmp_path / "blobs")!r}), {str(tmp_path / "cache")!r})
        print(bundle.resolve("flow_mod:times")(3))
        """
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.strip() == "8", done.stderr


def test_a_program_run_as_a_script_is_found_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        textwrap.dedent(
            f"""
            from skylift import pipeline, task
            from skylift.sdk.bundling import make_bundle
            from skylift.stores.files import FileBlobStore

            @task
            def inc(x: int) -> int:
                return x + 1

            @pipeline
            def flow(x: int) -> int:
                return inc(x)

            if __name__ == "__main__":
                print(make_bundle(flow, FileBlobStore({str(tmp_path / "blobs")!r})))
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "program.py"], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    blobs = FileBlobStore(tmp_path / "blobs")
    bundle = Bundle.load(done.stdout.strip(), blobs, tmp_path / "cache")
    try:
        assert bundle.manifest.main == "program"
        assert bundle.resolve("__main__:inc")(2) == 3
    finally:
        bundle.deactivate()


def test_many_functions_that_share_code_read_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling a pipeline of many tasks took ten times as long when each task read all the code again."""
    from skylift.sdk import fingerprint as module

    names: dict[str, Any] = {"__name__": "__main__"}
    exec("def shared(): return 1\n" + "".join(f"def f{i}(): return shared()\n" for i in range(30)), names)  # noqa: S102
    read: list[Any] = []
    tree = module._tree
    monkeypatch.setattr(module, "_tree", lambda found: read.append(found) or tree(found))
    for _ in range(3):
        for index in range(30):
            module.fingerprint(names[f"f{index}"])
    assert len(read) <= 31
