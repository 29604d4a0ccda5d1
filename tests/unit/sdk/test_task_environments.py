"""`environment=`: what may be named, what becomes of it at submission, and what is said of mistakes."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from tiny_wheels import make_wheel

from skylift import task
from skylift.compute.environments import read_spec
from skylift.compute.environments.uv import find_uv
from skylift.ports.tasks import TaskSpec
from skylift.sdk.environments import documents, named_files
from skylift.sdk.requirement_files import EnvironmentInvalid, file_lines
from skylift.stores.files import FileBlobStore

needs_uv = pytest.mark.skipif(find_uv() is None, reason="needs uv")
HASH = "--hash=sha256:" + "0" * 64


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobStore:
    return FileBlobStore(str(tmp_path / "blobs"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: Any) -> Path:
    """The folder of the module that the tasks are defined in."""
    folder = tmp_path / "project"
    folder.mkdir()
    module = types.ModuleType("train_flow")
    module.__file__ = str(folder / "train_flow.py")
    monkeypatch.setitem(sys.modules, "train_flow", module)
    return folder


def asking(environment: Any, name: str = "train") -> dict[str, TaskSpec]:
    @task(environment=environment)
    def train() -> None: ...

    return {name: TaskSpec(name=name, target="train_flow:train", requirements=train.requirements)}


def lines_of(tasks: dict[str, TaskSpec], blobs: FileBlobStore, cache: Path | None = None) -> tuple[str, ...]:
    [spec] = documents(tasks, blobs, cache).values()
    assert spec.requirements.environment is not None
    return read_spec(spec.requirements.environment, blobs).requirements


def test_a_locked_file_is_taken_as_it_is(project: Path, blobs: FileBlobStore) -> None:
    (project / "lock.txt").write_text(
        f"# comment\nb==2.0 \\\n    {HASH}\n\na==1.0 ; python_version < '4' {HASH}  # x\n"
    )
    assert lines_of(asking("lock.txt"), blobs) == (f"a==1.0 ; python_version < '4' {HASH}", f"b==2.0 {HASH}")


def test_the_same_packages_are_the_same_environment(project: Path, blobs: FileBlobStore) -> None:
    (project / "one.txt").write_text(f"a==1.0 {HASH}\nb==2.0 {HASH}\n")
    (project / "two.txt").write_text(f"b==2.0 {HASH}\n# the same\na==1.0 {HASH}\n")
    done = documents({**asking("one.txt", "one"), **asking("two.txt", "two")}, blobs, None)
    assert len({spec.requirements.environment for spec in done.values()}) == 1


@needs_uv
def test_inline_requirements_get_exact_versions_once(project: Path, blobs: FileBlobStore, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "tinyone", "1.0")
    [line] = lines_of(asking([wheel]), blobs, tmp_path / "cache")
    assert line.startswith("tinyone @ file://") and "#sha256=" in line
    make_wheel(tmp_path / "wheels", "tinyone", "1.0", "CHANGED = True")
    assert lines_of(asking([wheel]), blobs, tmp_path / "cache") != (line,)


@needs_uv
def test_a_file_may_include_another(project: Path, blobs: FileBlobStore, tmp_path: Path) -> None:
    (project / "all.txt").write_text("-r more/rest.txt\n" + make_wheel(tmp_path / "wheels", "tinyone", "1.0") + "\n")
    (project / "more").mkdir()
    (project / "more" / "rest.txt").write_text(make_wheel(tmp_path / "wheels", "tinytwo", "2.0"))
    assert [line.partition(" ")[0] for line in lines_of(asking("all.txt"), blobs)] == ["tinyone", "tinytwo"]


@needs_uv
def test_the_block_of_a_script(project: Path, blobs: FileBlobStore, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "tinyone", "1.0")
    block = f'# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n#   "{wheel}",\n# ]\n# ///\n'
    (project / "flow.py").write_text(f'"""A pipeline."""\n\n{block}\nx = 1\n')
    assert lines_of(asking("flow.py"), blobs)[0].startswith("tinyone @")
    (project / "flow.py").write_text(block.replace(">=3.11", "<3.11"))
    with pytest.raises(EnvironmentInvalid, match=r"requires-python is '<3\.11'"):
        lines_of(asking("flow.py"), blobs)


def test_a_pylock_file_keeps_versions_markers_and_hashes(project: Path, blobs: FileBlobStore) -> None:
    (project / "pylock.toml").write_text(
        'lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = "1.0"\nmarker = "os_name == \'posix\'"\n'
        '[[packages.wheels]]\nurl = "https://example.org/a.whl"\n[packages.wheels.hashes]\nsha256 = "00"\n'
    )
    assert lines_of(asking("pylock.toml"), blobs) == ("a==1.0 ; os_name == 'posix' --hash=sha256:00",)


@needs_uv
def test_a_projects_uv_lock(project: Path, blobs: FileBlobStore) -> None:
    (project / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\n')
    (project / "uv.lock").write_text(
        'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n[[package]]\nname = "x"\nversion = "1"\n'
        'source = { virtual = "." }\n'
    )
    assert lines_of(asking("uv.lock"), blobs) == ()
    (project / "uv.lock").write_text("nonsense")
    with pytest.raises(EnvironmentInvalid, match=r"task train.*uv\.lock"):
        lines_of(asking("uv.lock"), blobs)


MISTAKES: list[tuple[Any, str]] = [
    ("missing.txt", "there is no file"),
    (["numpy", 3], r"environment\[1\] is 3"),
    (["-e ."], r"environment\[0\]: '-e .'"),
    (["./local"], "is not a requirement"),
    (["a @ file:///nowhere/a-1-py3-none-any.whl"], "there is no file /nowhere/a-1"),
    (["msgspec==0.17 " + HASH], r"\(environment\[0\]: msgspec==0\.17\).*Skylift itself needs msgspec>=0\.19"),
    ("bad.txt", r"bad\.txt:2: -r none\.txt: there is no file"),
    ("loop.txt", r"loop\.txt:1: -r loop\.txt: includes itself"),
    ("secret.txt", r"secret\.txt:1: this names a password"),
    ("plain.py", "no block of dependencies"),
    ("other.toml", "not a lock file"),
    ("broken.toml", r"broken\.toml cannot be read"),
    (["a @ https://me:hidden@example.org/a-1-py3-none-any.whl"], r"environment\[0\]: this names a password"),
    (["a @ git+https://hidden@example.org/a"], r"environment\[0\]: this names a password"),
    (["--constraint https://me:hidden@example.org/c.txt"], r"environment\[0\]: this names a password"),
    (["https://me:hidden@example.org/a-1-py3-none-any.whl"], r"environment\[0\]: this names a password"),
    ("far.txt", r"far\.txt:1: -r https://…@example\.org/c\.txt: only files of this machine"),
    (["a==1\n--pre"], "is more than one line"),
    (["a @ ./a-1-py3-none-any.whl"], "is a relative path"),
    (["-f ./wheels"], "is a relative path"),
    (["--prefix=/"], "cannot be part of an environment"),
    ("utf16.txt", r"utf16\.txt cannot be read"),
    ("over16.txt", r"utf16\.txt cannot be read"),
    ("alone.txt", r"alone\.txt:1: -r: there is no file"),
    ("words.toml", r"words\.toml: a package of it: Expected `object`"),
    ("wheels.toml", r"wheels\.toml: a package of it: Expected `array`"),
    ("line.toml", "is more than one line"),
    ("newer.toml", r"lock-version '2\.0', and 1 is known"),
    ("text.py", r"text\.py:1: dependencies is 'numpy'"),
    ("number.py", r"number\.py:1: requires-python is 3"),
    ("twice.py", "has 2 blocks of dependencies"),
    ("[1].txt", r"there is no file .*\[1\]\.txt"),
]
LOCKED = "lock-version = '1.0'\n[[packages]]\nversion = '1'\n"
FILES = {
    "far.txt": "-r https://me:hidden@example.org/c.txt\n",
    "over16.txt": "-r utf16.txt\n",
    "alone.txt": "-r\n",
    "words.toml": "lock-version = '1.0'\npackages = ['a']\n",
    "wheels.toml": f"{LOCKED}name = 'a'\nwheels = 'none'\n",
    "line.toml": f'{LOCKED}name = "a\\n-e ."\nwheels = [{{hashes = {{sha256 = "0"}}}}]\n',
    "newer.toml": "lock-version = '2.0'\npackages = []\n",
    "text.py": '# /// script\n# dependencies = "numpy"\n# ///\n',
    "number.py": "# /// script\n# requires-python = 3\n# ///\n",
    "twice.py": "# /// script\n# dependencies = []\n# ///\n" * 2,
}


@pytest.mark.parametrize(("environment", "message"), MISTAKES, ids=[str(one)[:30] for one, _ in MISTAKES])
def test_mistakes_name_task_place_and_mend(project: Path, blobs: FileBlobStore, environment: Any, message: str) -> None:
    (project / "bad.txt").write_text("numpy\n-r none.txt\n")
    (project / "loop.txt").write_text("-r loop.txt\n")
    (project / "secret.txt").write_text("--extra-index-" + "url https://me:pass@example.org/simple\n")
    (project / "plain.py").write_text("x = 1\n")
    (project / "other.toml").write_text("[tool]\n")
    (project / "broken.toml").write_text("[")
    (project / "utf16.txt").write_bytes("numpy".encode("utf-16"))
    for name, text in FILES.items():
        (project / name).write_text(text)
    with pytest.raises(EnvironmentInvalid, match=message) as problem:
        lines_of(asking(environment), blobs)
    assert "task train" in problem.value.message
    assert "hidden" not in f"{problem.value.message}{problem.value.hint}"


@needs_uv
def test_paths_count_from_the_file_that_names_them(
    project: Path, blobs: FileBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They counted from wherever the run was started, and again from where the environment was built."""
    make_wheel(project / "more" / "wheels", "tinyone", "1.0")
    make_wheel(project / "more" / "wheels", "tinytwo", "2.0")
    (project / "train.txt").write_bytes(b"\xef\xbb\xbf-r more/rest.txt\n")
    (project / "more" / "rest.txt").write_text("tinyone @ ./wheels/tinyone-1.0-py3-none-any.whl\ntinytwo\n-f wheels\n")
    monkeypatch.chdir(tmp_path)
    option, one, two = lines_of(asking("train.txt"), blobs)
    assert option == f"-f {project / 'more' / 'wheels'}"
    assert one.startswith(f"tinyone @ {(project / 'more/wheels').as_uri()}/tinyone-1.0-py3-none-any.whl#sha256=")
    assert two == "tinytwo==2.0"


@needs_uv
def test_what_cannot_be_resolved_is_said_with_task_line_and_the_tools_words(
    project: Path, blobs: FileBlobStore, tmp_path: Path
) -> None:
    one = make_wheel(tmp_path / "wheels", "tinyone", "1.0", requires=("tinytwo>=2",))
    two = make_wheel(tmp_path / "wheels", "tinytwo", "1.0")
    (project / "train.txt").write_text(f"# torch\n{one}\n{two}\n")
    with pytest.raises(EnvironmentInvalid) as problem:
        lines_of(asking("train.txt"), blobs)
    said = problem.value.message
    assert "task train, environment train.txt (train.txt:2: tinyone" in said and "tinytwo>=2" in said


def test_the_files_are_known_for_the_next_start(project: Path) -> None:
    (project / "lock.txt").write_text(f"a==1.0 {HASH}\n")
    assert named_files({**asking("lock.txt"), **asking(["numpy"], "other")}) == [project / "lock.txt"]
    assert [line.place for line in file_lines(project / "lock.txt")[0]] == ["lock.txt:1"]


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (">=3.11", True),
        (">=3.11.5", False),
        (">=3.11.2", True),
        ("<3.11.9", True),
        ("<=3.11", True),
        (">3.11", True),
        (">3.11.2", False),
        ("==3.11.*", True),
        ("!=3.11.*", False),
        ("!=3.11.1", True),
        ("~=3.11", True),
        ("~=3.10", True),
        ("~=3.11.5", False),
        ("~=3.10.1", False),
        (">=3.10, <3.11", False),
    ],
)
def test_the_python_that_a_script_requires(
    project: Path, blobs: FileBlobStore, monkeypatch: pytest.MonkeyPatch, wanted: str, fits: bool
) -> None:
    """The last number was passed over: >=3.11.5 was taken for fulfilled by 3.11.2, and <3.11.9 refused."""
    (project / "train.py").write_text(f"# /// script\n# requires-python = {wanted!r}\n# dependencies = []\n# ///\n")
    older = types.SimpleNamespace(version_info=(3, 11, 2, "final", 0), modules=sys.modules)
    monkeypatch.setattr("skylift.sdk.environments.sys", older)
    if fits:
        assert lines_of(asking("train.py"), blobs) == ()
        return
    with pytest.raises(EnvironmentInvalid, match=r"tasks run with Python 3\.11\.2 here"):
        lines_of(asking("train.py"), blobs)


def test_included_files_are_known_for_the_next_start_too(project: Path) -> None:
    """A change in them went unnoticed for a while."""
    (project / "a.txt").write_text("-r b.txt\n--requirement=c.txt\n-r a.txt\n")
    (project / "b.txt").write_bytes(b"\xff")
    assert named_files(asking("a.txt")) == [project / name for name in ("a.txt", "b.txt", "c.txt")]


def test_what_was_asked_for_stands_in_the_task_until_submission() -> None:
    assert json.loads(asking(["numpy"])["train"].requirements.environment or "") == ["numpy"]
    assert asking("a.txt")["train"].requirements.environment == "a.txt"
