from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skylift.stores.files import FileBlobStore
from skylift.values.codec import ValueCodec
from skylift.values.files import Directory, File
from skylift.values.tags import ValueNotStorable


@pytest.fixture
def codec(tmp_path: Path) -> ValueCodec:
    return ValueCodec(FileBlobStore(tmp_path / "blobs"))


def dumped(codec: ValueCodec, value: Any, format: str) -> Any:
    """The value after a round trip, which must have taken this format."""
    node = codec.dump(value)
    assert node["format"] == format
    return codec.load(node)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(10)[::3],
        np.array(5.5),
        np.zeros((0, 3)),
        np.zeros((300, 0, 2)),
        np.array(["a", "bcd"]),
        np.array([True, False]),
        np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.arange(500_000, dtype=np.float32),
        np.arange(3, dtype=">i4"),
    ],
)
def test_numpy(codec: ValueCodec, array: Any) -> None:
    back = dumped(codec, array, "numpy")
    assert type(back) is np.ndarray
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.array_equal(back, array)
    if back.size and back.dtype.kind == "f":
        back[...] = 1  # writable, and the artifact is not touched
        assert np.array_equal(codec.load(codec.dump(array)), array)


def test_numpy_objects_and_subclasses_are_pickled(codec: ValueCodec) -> None:
    objects = np.array([1, "a", None], dtype=object)
    assert dumped(codec, objects, "pickle").tolist() == [1, "a", None]
    masked = np.ma.masked_array([1, 2], mask=[True, False])
    assert dumped(codec, masked, "pickle").mask.tolist() == [True, False]


def test_pandas(codec: ValueCodec) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"a": [1, 2, 3], "b": ["x", None, "z"], "c": pandas.to_datetime(["2020-01-01"] * 3), "d": [1.5, None, 2]},
        index=pandas.Index([10, 20, 30], name="key"),
    )
    frame["e"] = frame["b"].astype("category")
    pandas.testing.assert_frame_equal(dumped(codec, frame, "pandas"), frame)
    deep = frame.set_index(["a", "b"])
    pandas.testing.assert_frame_equal(dumped(codec, deep, "pandas"), deep)
    series = frame["d"]
    pandas.testing.assert_series_equal(dumped(codec, series, "pandas"), series)
    nameless = pandas.Series([1, 2])
    pandas.testing.assert_series_equal(dumped(codec, nameless, "pandas"), nameless)


def test_pandas_beyond_arrow_is_pickled(codec: ValueCodec) -> None:
    pandas = pytest.importorskip("pandas")
    for frame in (
        pandas.DataFrame({"a": [1, "x", (1, 2)]}),
        pandas.DataFrame([[1, 2]], columns=[0, 1]),
        pandas.DataFrame([[1, 2]], columns=pandas.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
    ):
        pandas.testing.assert_frame_equal(dumped(codec, frame, "pickle"), frame)


def test_polars(codec: ValueCodec) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1, 2], "b": ["x", None], "c": [[1], [2, 3]]})
    assert dumped(codec, frame, "polars").equals(frame, null_equal=True)
    series = polars.Series("s", [1.5, None])
    assert dumped(codec, series, "polars").equals(series, check_names=True)


def test_pyarrow(codec: ValueCodec) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"a": [1, 2], "b": ["x", None]})
    assert dumped(codec, table, "arrow").equals(table)
    batch = table.to_batches()[0]
    assert dumped(codec, batch, "arrow").equals(batch)


def test_onnx(codec: ValueCodec) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out]))
    assert dumped(codec, model, "onnx") == model


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "1", "LA"])
def test_images(codec: ValueCodec, mode: str) -> None:
    images = pytest.importorskip("PIL.Image")
    image = images.effect_noise((20, 10), 50).convert(mode)
    back = dumped(codec, image, "image")
    assert (back.mode, back.size, back.tobytes()) == (image.mode, image.size, image.tobytes())


def test_images_beyond_png_are_pickled(codec: ValueCodec) -> None:
    images = pytest.importorskip("PIL.Image")
    image = images.new("F", (2, 2), 1.5)
    assert dumped(codec, image, "pickle").tobytes() == image.tobytes()


def test_scikit_learn_models_are_pickled(codec: ValueCodec) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    model = linear.LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    assert dumped(codec, model, "pickle").predict([[2.0]])[0] == pytest.approx(4.0)


def test_torch(codec: ValueCodec) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6).reshape(2, 3)
    assert torch.equal(dumped(codec, tensor, "safetensors"), tensor)
    model = torch.nn.Linear(2, 1)
    state = dumped(codec, model.state_dict(), "safetensors")
    assert list(state) == ["weight", "bias"]
    assert torch.equal(state["weight"], model.weight)
    assert torch.equal(dumped(codec, model, "torch").weight, model.weight)


def test_a_file_travels_with_its_content(codec: ValueCodec, tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text("hello")
    node = codec.dump(File(path))
    path.unlink()
    back = codec.load(node)
    assert isinstance(back, File)
    assert back.path.name == "report.txt"
    assert back.read_text() == "hello"
    assert Path(back).suffix == ".txt"
    assert node["size"] == 5


def test_a_folder_travels_with_all_below(codec: ValueCodec, tmp_path: Path) -> None:
    root = tmp_path / "site"
    (root / "a" / "b").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a" / "b" / "x.txt").write_text("x")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    node = codec.dump({"site": Directory(root)})
    back = codec.load(node)["site"]
    assert (back / "a" / "b" / "x.txt").read_text() == "x"
    assert (back / "empty").is_dir()
    assert (back / "run.sh").stat().st_mode & 0o100
    assert back.path.name == "site"
    assert len(codec.references(node)) == 3
    (back / "a" / "b" / "x.txt").write_text("changed")
    assert (codec.load(node)["site"] / "a" / "b" / "x.txt").read_text() == "x"


@pytest.mark.parametrize("kind", [File, Directory])
def test_what_is_not_there_is_named(codec: ValueCodec, tmp_path: Path, kind: Any) -> None:
    with pytest.raises(ValueNotStorable, match=r"nothing.*does not exist"):
        codec.dump(kind(tmp_path / "nothing"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueNotStorable, match="is not a"):
        codec.dump(kind(tmp_path / ("folder" if kind is File else "file")))


def test_paths_travel_as_text_only(codec: ValueCodec) -> None:
    assert codec.load(codec.dump(Path("/a/b"))) == Path("/a/b")


def test_nothing_heavy_is_imported_for_plain_values() -> None:
    code = """
import sys, tempfile
from skylift.stores.files import FileBlobStore
from skylift.values.codec import ValueCodec
codec = ValueCodec(FileBlobStore(tempfile.mkdtemp()))
codec.load(codec.dump({"a": [1, (2, 3)], "b": b"x" * 100_000}))
heavy = {"numpy", "pandas", "polars", "pyarrow", "torch", "onnx", "PIL", "fsspec", "cloudpickle"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
