"""What a replay in another process needs is fetched to where that process can read it with base dependencies alone."""

from __future__ import annotations

from pathlib import Path

from skylift.cli.replay import _local_blobs
from skylift.ports.compute import CodeRef, Requirements
from skylift.recorded import RecordedAttempt
from skylift.stores.files import FileBlobStore
from skylift.stores.open import open_blobs
from skylift.values.bundle import write_manifest
from skylift.values.codec import ValueCodec


def test_code_and_inputs_are_copied_from_elsewhere_and_nothing_else(tmp_path: Path) -> None:
    there = open_blobs("memory://replayed", cache=str(tmp_path / "cache"))
    source = there.put(b"def half(data): ...\n")
    bundle = write_manifest(there, files={"flow.py": source})
    there.put(b"not needed")
    arguments = {"data": ValueCodec(there).dump(b"x" * 100_000, bytes)}
    attempt = RecordedAttempt(
        label="half",
        number=1,
        token="1-1",
        run_id="r",
        visit="1-1",
        task="half",
        code=CodeRef(bundle=bundle, target="flow:half"),
        convention="task",
        arguments=arguments,
        requirements=Requirements(),
        cache_dir=str(tmp_path),
    )
    local = FileBlobStore(_local_blobs(attempt, there, tmp_path))
    assert len(set(local.digests())) == 3 and {bundle, source} <= set(local.digests())
    assert ValueCodec(local).load(arguments["data"], bytes) == b"x" * 100_000
    here = FileBlobStore(str(tmp_path / "here"))
    assert _local_blobs(attempt, here, tmp_path) == here.url
