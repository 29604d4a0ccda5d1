"""What nodes of another version are sent."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from skylift.compute.ray.parcel import Seen, parcel_for, requirements, words_for
from skylift.version import VERSION

SAME = Seen(VERSION)


def test_nodes_that_have_ours_are_sent_nothing() -> None:
    assert parcel_for([SAME, Seen(VERSION, (), "cannot read the artifacts")]) is None
    assert parcel_for([]) is None


def test_nodes_of_another_version_are_sent_the_code_and_its_metadata_only() -> None:
    parcel = parcel_for([SAME, Seen("0.0.1")])
    assert parcel is not None and "uv" not in parcel
    code, about = map(Path, parcel["py_modules"])
    assert code.name == "skylift" and (code / "version.py").is_file()
    assert about.name == f"skylift-{VERSION}.dist-info" and (about / "METADATA").is_file()


def test_packages_are_installed_where_some_are_missing() -> None:
    parcel = parcel_for([SAME, Seen("", ("rich>=13", "msgspec>=1")), Seen("", ("rich>=13",))])
    assert parcel is not None and parcel["uv"] == {"packages": ["msgspec>=1", "rich>=13"]}
    assert parcel_for([Seen(VERSION, ("rich>=13",))]) is not None


def test_our_requirements_are_those_without_extras() -> None:
    assert any(line.startswith("msgspec") for line in requirements())
    assert not any("extra" in line or line.startswith("pytest") for line in requirements())


def test_people_are_told_what_is_sent_and_why() -> None:
    assert words_for([SAME, Seen("0.0.1"), Seen("", ("rich",))]) == (
        f"the cluster has skylift 0.0.1, none; nodes lack rich: skylift {VERSION} is sent to its nodes"
    )


def test_ray_packs_it_small_enough_and_without_leavings(tmp_path: Path) -> None:
    packaging = pytest.importorskip("ray._private.runtime_env.packaging")
    parcel = parcel_for([Seen("")])
    assert parcel is not None
    packed = tmp_path / "code.zip"
    packaging.create_package(
        parcel["py_modules"][0], packed, include_gitignore=True, include_parent_dir=True, excludes=parcel["excludes"]
    )
    names = zipfile.ZipFile(packed).namelist()
    assert "skylift/version.py" in names and not any("__pycache__" in name for name in names)
    assert packed.stat().st_size < 20 * 2**20
