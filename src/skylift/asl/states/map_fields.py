"""The fields that only a Distributed Map has: reader, batches, tolerance, writer."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from skylift.asl.dataflow import Evaluate, template
from skylift.asl.document import ItemBatcher, ItemReader, Map, ResultWriter
from skylift.asl.result_types import out_of_range, require
from skylift.asl.scope import Scope
from skylift.asl.state import Batch, Reading, Writing
from skylift.asl.states.map import number_field


class MapRunFields:
    """Compiled once; each method evaluates one field for a Map state that begins."""

    def __init__(self, state: Map) -> None:
        language = state.query_language
        self._jsonata = language == "JSONata"
        self.label = state.label if isinstance(state.label, str) else None
        self._reader = None if state.item_reader is UNSET else _ReaderFields(state.item_reader, language)
        self._batcher = None if state.item_batcher is UNSET else _BatchFields(state.item_batcher, language)
        self._writer = _writer_fields(state.result_writer, language)
        self.preview = _preview(state.result_writer)
        """The WriterConfig of a ResultWriter that writes nowhere: it shapes the state's result."""
        self._count = number_field(
            state.tolerated_failure_count,
            state.tolerated_failure_count_path,
            language,
            "ToleratedFailureCount",
            "integer",
        )
        self._percentage = number_field(
            state.tolerated_failure_percentage,
            state.tolerated_failure_percentage_path,
            language,
            "ToleratedFailurePercentage",
            "float",
        )

    @property
    def reads(self) -> bool:
        """Whether the items come from an ItemReader, whatever ItemsPath says."""
        return self._reader is not None

    def tolerance(self, scope: Scope) -> tuple[int | None, float | None]:
        count = None if self._count is None else self._count(scope)
        if count is not None and count < 0:
            raise out_of_range(self._jsonata, "ToleratedFailureCount", "ToleratedFailureCount cannot be negative.")
        percentage = None if self._percentage is None else self._percentage(scope)
        if percentage is not None and not 0 <= percentage <= 100:
            cause = "ToleratedFailurePercentage must be between 0 and 100."
            raise out_of_range(self._jsonata, "ToleratedFailurePercentage", cause)
        return (None if count is None else int(count)), percentage

    def batch(self, scope: Scope) -> Batch | None:
        return None if self._batcher is None else self._batcher.evaluate(scope)

    def reader(self, scope: Scope, page: int) -> Reading | None:
        return None if self._reader is None else self._reader.evaluate(scope, page)

    def writer(self, scope: Scope) -> Writing | None:
        return None if self._writer is None else self._writer.evaluate(scope)


class _ReaderFields:
    def __init__(self, reader: ItemReader, language: str) -> None:
        self._resource = reader.resource
        self._jsonata = language == "JSONata"
        self._arguments = _arguments(reader, language, "ItemReader")
        config = reader.reader_config
        self._most_source = config.get("MaxItems") if isinstance(config, dict) else None
        self._most_path: Evaluate | None = None
        if isinstance(config, dict) and "MaxItemsPath" in config:
            self._most_path = number_field(UNSET, config["MaxItemsPath"], language, "MaxItems", "integer")
            config = {key: value for key, value in config.items() if key != "MaxItemsPath"}
        self._config = template(config, language, "ItemReader/ReaderConfig")

    def evaluate(self, scope: Scope, page: int) -> Reading:
        config: dict[str, Any] = {} if self._config is None else self._config(scope)
        if self._most_path is not None:
            config = {**config, "MaxItems": self._most_path(scope)}
        if "MaxItems" in config:
            config = {**config, "MaxItems": self._most_items(config["MaxItems"])}
        left = config.get("MaxItems") or None
        arguments = {} if self._arguments is None else self._arguments(scope)
        return Reading(0, self._resource, arguments, config, page, left=left)

    def _most_items(self, value: Any) -> int:
        if self._jsonata:
            require("number", value, self._most_source, "ItemReader/ReaderConfig/MaxItems")
        if value < 0 or value != int(value):
            cause = "MaxItems cannot be negative." if value < 0 else f"MaxItems must be an integer but was: {value}"
            raise out_of_range(self._jsonata, "ItemReader/ReaderConfig/MaxItems", cause)
        return int(value)


class _WriterFields:
    def __init__(self, writer: ResultWriter, language: str) -> None:
        self._resource = writer.resource if isinstance(writer.resource, str) else ""
        self._arguments = _arguments(writer, language, "ResultWriter")
        self._config = {} if writer.writer_config is UNSET else dict(writer.writer_config)

    def evaluate(self, scope: Scope) -> Writing:
        arguments = {} if self._arguments is None else self._arguments(scope)
        return Writing(0, self._resource, arguments, self._config)


class _BatchFields:
    def __init__(self, batcher: ItemBatcher, language: str) -> None:
        self._jsonata = language == "JSONata"
        self._input = template(batcher.batch_input, language, "ItemBatcher/BatchInput")
        self._items = number_field(
            batcher.max_items_per_batch,
            batcher.max_items_per_batch_path,
            language,
            "MaxItemsPerBatch",
            "integer",
            "ItemBatcher/",
        )
        self._bytes = number_field(
            batcher.max_input_bytes_per_batch,
            batcher.max_input_bytes_per_batch_path,
            language,
            "MaxInputBytesPerBatch",
            "integer",
            "ItemBatcher/",
        )

    def evaluate(self, scope: Scope) -> Batch:
        most_items = self._positive(self._items, scope, "MaxItemsPerBatch")
        most_bytes = self._positive(self._bytes, scope, "MaxInputBytesPerBatch")
        return Batch(most_items, most_bytes, UNSET if self._input is None else self._input(scope))

    def _positive(self, evaluate: Evaluate | None, scope: Scope, field: str) -> int | None:
        if evaluate is None:
            return None
        value = int(evaluate(scope))
        if value < 1:
            raise out_of_range(self._jsonata, f"ItemBatcher/{field}", f"{field} must be positive.")
        return value


def _arguments(holder: ItemReader | ResultWriter, language: str, field: str) -> Evaluate | None:
    if language == "JSONata":
        return template(holder.arguments, language, f"{field}/Arguments")
    return template(holder.parameters, language, f"{field}/Parameters")


def _writer_fields(writer: ResultWriter | Any, language: str) -> _WriterFields | None:
    if writer is UNSET or writer.resource is UNSET:
        return None
    return _WriterFields(writer, language)


def _preview(writer: ResultWriter | Any) -> dict[str, Any] | None:
    if writer is UNSET or writer.resource is not UNSET or writer.writer_config is UNSET:
        return None
    return dict(writer.writer_config)


def source_of(reader: Reading | None) -> str:
    """Map.Item.Source: where the items come from."""
    if reader is None:
        return "STATE_DATA"
    bucket, key = str(reader.arguments.get("Bucket", "")), reader.arguments.get("Key", reader.arguments.get("Prefix"))
    root = bucket if "/" in bucket or bucket.startswith(".") else f"s3://{bucket}"
    listed = reader.resource.endswith(":listObjectsV2") and reader.config.get("Transformation", "NONE") == "NONE"
    return root if listed or not key else f"{root.rstrip('/')}/{key}"
