"""Writes the results of a Distributed Map's child executions, in the files that the service writes.

    PREFIX/MAP-RUN/SUCCEEDED_0.json   FAILED_0.json   …   manifest.json

A part that is written again after a crash replaces itself; the manifest is written last.
"""

from __future__ import annotations

from typing import Any

import msgspec

from skylift.asl.commands import WriteResults
from skylift.asl.map_results import json_lines, shaped
from skylift.engine.buckets import Access, Bucket, BucketError, open_bucket

HERE = Access(action="s3:putObject")

STATUSES = ("FAILED", "PENDING", "SUCCEEDED")


class WriterFailed(Exception):
    """States.ResultWriterFailed, with the service's message where it has one."""


def write_results(command: WriteResults, access: Access = HERE) -> dict[str, Any]:
    """ResultWriterDetails: where the manifest is, or will be. Raises WriterFailed."""
    if not command.resource.endswith(":s3:putObject"):
        raise WriterFailed(
            f"A ResultWriter of resource {command.resource} is not known; use arn:aws:states:::s3:putObject."
        )
    arguments = command.arguments
    folder = "/".join(
        part for part in (str(arguments.get("Prefix") or "").strip("/"), command.map_run.rpartition(":")[2]) if part
    )
    try:
        bucket = open_bucket(arguments.get("Bucket"), access)
        _write_part(bucket, folder, command)
        if command.last:
            manifest = _manifest(bucket, folder, command)
            bucket.write(f"{folder}/manifest.json", msgspec.json.encode(manifest))
    except BucketError as problem:
        raise WriterFailed(str(problem)) from problem
    return {"Bucket": arguments["Bucket"], "Key": f"{folder}/manifest.json"}


def _write_part(bucket: Bucket, folder: str, command: WriteResults) -> None:
    transformation = command.config.get("Transformation", "NONE")
    lines = command.config.get("OutputType", "JSON") == "JSONL"
    for status in ("SUCCEEDED", "FAILED"):
        records = [record for record in command.results if _file_of(record) == status]
        if not records:
            continue
        content = shaped(records, transformation)
        data = json_lines(content) if lines else msgspec.json.encode(content)
        bucket.write(f"{folder}/{status}_{command.part}.{'jsonl' if lines else 'json'}", data)


def _file_of(record: dict[str, Any]) -> str:
    return "SUCCEEDED" if record.get("Status") == "SUCCEEDED" else "FAILED"


def _manifest(bucket: Bucket, folder: str, command: WriteResults) -> dict[str, Any]:
    files: dict[str, list[dict[str, Any]]] = {status: [] for status in STATUSES}
    parts = []
    for listed in bucket.list(f"{folder}/"):
        status, _, number = listed.key.rpartition("/")[2].partition(".")[0].partition("_")
        if status in files and number.isdigit() and int(number) <= command.part:
            parts.append((int(number), status, {"Key": listed.key, "Size": listed.size}))
    for _, status, entry in sorted(parts, key=lambda part: part[:2]):
        files[status].append(entry)
    return {
        "DestinationBucket": command.arguments["Bucket"],
        "MapRunArn": command.map_run,
        "ResultFiles": files,
    }
