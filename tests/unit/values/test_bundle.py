from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from skylift.stores.files import FileBlobStore
from skylift.values.bundle import Bundle, bundle_blobs, pickle_namespace, read_manifest, write_manifest
from skylift.values.codec import ValueCodec
from skylift.values.tags import ValueNotLoadable, ValueNotStorable

CODE = b"""
from dataclasses import dataclass
import sl_helper

@dataclass
class Model:
    x: int

def train():
    return Model(sl_helper.NUMBER)
"""


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobStore:
    return FileBlobStore(tmp_path / "blobs")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "cache"
    if Bundle._active is not None:
        Bundle._active.deactivate()


def project(blobs: FileBlobStore, number: int, folder: str = "") -> str:
    files = {"sl_project.py": CODE, "sl_helper.py": b"NUMBER = %d" % number}
    digests = {f"{folder}{name}": blobs.put(code) for name, code in files.items()}
    return write_manifest(blobs, files=digests, paths=(folder.rstrip("/") or ".",), main="sl_project")


def test_code_is_laid_out_once_and_resolved(blobs: FileBlobStore, cache: Path) -> None:
    digest = project(blobs, 1)
    bundle = Bundle.load(digest, blobs, cache)
    train = bundle.resolve("sl_project:train")
    assert train().x == 1
    assert bundle.resolve("__main__:train") is train
    assert bundle.resolve("sl_project:Model.__eq__") is bundle.resolve("sl_project:Model").__eq__
    assert [path.name for path in cache.iterdir()] == [digest]
    assert Bundle.load(digest, blobs, cache).root == bundle.root


def test_the_same_content_is_the_same_bundle(blobs: FileBlobStore) -> None:
    files = {"b.py": blobs.put(b"1"), "a.py": blobs.put(b"2")}
    first = write_manifest(blobs, files=files)
    assert first == write_manifest(blobs, files=dict(reversed(files.items())))
    assert bundle_blobs(first, blobs) == {first, *files.values()}


def test_two_bundles_with_modules_of_the_same_name(blobs: FileBlobStore, cache: Path) -> None:
    first = Bundle.load(project(blobs, 1), blobs, cache)
    second = Bundle.load(project(blobs, 2, "src/"), blobs, cache)
    path = list(sys.path)
    trains = [bundle.resolve("sl_project:train") for bundle in (first, second)]
    assert [train().x for train in trains] == [1, 2]
    assert first.resolve("sl_project:train") is trains[0]
    assert sys.modules["sl_helper"].NUMBER == 1
    second.activate()
    assert sys.modules["sl_helper"].NUMBER == 2
    second.deactivate()
    assert "sl_helper" not in sys.modules
    assert sys.path == path


def test_values_of_the_bundles_classes(blobs: FileBlobStore, cache: Path) -> None:
    bundle = Bundle.load(project(blobs, 3), blobs, cache)
    codec = ValueCodec(blobs, resolver=bundle.resolver())
    value = bundle.resolve("sl_project:train")()
    assert codec.dump(value) == {"__type__": "sl_project:Model", "x": 3}
    assert codec.load(codec.dump(value)) == value


NOTEBOOK = """
import sys
from dataclasses import dataclass
import msgspec
from skylift.stores.files import FileBlobStore
from skylift.values.bundle import pickle_namespace, write_manifest
from skylift.values.codec import ValueCodec
blobs = FileBlobStore(sys.argv[1])
calls = []
@dataclass
class Model:
    x: int
def make(x):
    calls.append(x)
    return Model(len(calls))
def double(model):
    calls.append(0)
    return Model(model.x * 2 + len(calls))
digest = blobs.put(pickle_namespace({"make": make, "double": double}))
print(write_manifest(blobs, files={}, pickled={name: digest for name in ("make", "double")}), flush=True)
print(ValueCodec(blobs).load(msgspec.json.decode(sys.stdin.readline())), flush=True)
"""


def test_code_without_a_file_travels_by_value(blobs: FileBlobStore, cache: Path, tmp_path: Path) -> None:
    """Functions share their module's variables, and a class is the same on both sides."""
    script = tmp_path / "notebook.py"
    script.write_text(NOTEBOOK)
    notebook = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "blobs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert notebook.stdout is not None
    bundle = Bundle.load(notebook.stdout.readline().strip(), blobs, cache)
    codec = ValueCodec(blobs, resolver=bundle.resolver())
    model = bundle.resolve("__main__:make")(5)
    node = codec.dump(bundle.resolve("__main__:double")(codec.load(codec.dump(model))))
    assert node == {"__type__": "__main__:Model", "x": 4}
    out, _ = notebook.communicate(msgspec.json.encode(node).decode() + "\n")
    assert out.strip() == "Model(x=4)"


def test_what_is_not_in_the_bundle_is_named(blobs: FileBlobStore, cache: Path) -> None:
    bundle = Bundle.load(project(blobs, 1), blobs, cache)
    for target, message in {
        "sl_project:nothing": "sl_project has no 'nothing'",
        "sl_nowhere:f": "No module named 'sl_nowhere'",
        "__main__:nothing": "sl_project has no 'nothing'",
    }.items():
        with pytest.raises(ValueNotLoadable, match=message) as caught:
            bundle.resolve(target)
        assert caught.value.hint


def test_a_module_that_fails_to_import_says_why(blobs: FileBlobStore, cache: Path) -> None:
    digest = write_manifest(blobs, files={"sl_broken.py": blobs.put(b"raise ValueError('no GPU here')")})
    with pytest.raises(ValueNotLoadable, match="ValueError: no GPU here"):
        Bundle.load(digest, blobs, cache).resolve("sl_broken:f")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.py", "a/../../x.py", "", "a\\b.py"])
def test_paths_outside_are_refused(blobs: FileBlobStore, cache: Path, path: str) -> None:
    with pytest.raises(ValueNotLoadable, match="below its root"):
        write_manifest(blobs, files={path: "0" * 64})
    evil = blobs.put(msgspec.json.encode({"files": {path: blobs.put(b"x")}}))
    with pytest.raises(ValueNotLoadable, match="below its root"):
        Bundle.load(evil, blobs, cache)


def test_what_is_no_bundle_is_refused(blobs: FileBlobStore) -> None:
    for content in (b"not json", b"[]", b'{"files": 5}', b'{"format": 99}'):
        with pytest.raises(ValueNotLoadable):
            read_manifest(blobs.put(content), blobs)


def test_by_value_code_of_another_python_is_refused(blobs: FileBlobStore, cache: Path) -> None:
    digest = blobs.put(msgspec.json.encode({"pickled": {"f": blobs.put(b"")}, "python": "3.1"}))
    with pytest.raises(ValueNotLoadable, match=r"Python 3\.1;"):
        Bundle.load(digest, blobs, cache).resolve("__main__:f")


def test_code_that_cannot_be_pickled_is_named() -> None:
    @dataclass
    class Holder:
        lock: object

    with pytest.raises(ValueNotStorable, match="train"):
        pickle_namespace({"train": Holder(threading.Lock())})


def test_a_half_deleted_layout_is_made_again(blobs: FileBlobStore, cache: Path) -> None:
    digest = project(blobs, 1)
    root = Bundle.load(digest, blobs, cache).root
    (root / "sl_helper.py").unlink()
    assert (Bundle.load(digest, blobs, cache).root / "sl_helper.py").exists()
    assert [path.name for path in cache.iterdir()] == [digest]


def test_many_threads_lay_out_the_same_bundle(blobs: FileBlobStore, cache: Path) -> None:
    digest = project(blobs, 1)
    found: list[bool] = []

    def load() -> None:
        found.append((Bundle.load(digest, blobs, cache).root / "sl_helper.py").exists())

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert [path.name for path in cache.iterdir()] == [digest]
