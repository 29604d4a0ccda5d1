"""Map states: inline and distributed, with ItemReader, ItemBatcher and ResultWriter."""

from __future__ import annotations

import re
from typing import Any

from msgspec import UNSET, UnsetType

from skylift.asl.document import Flow, ItemBatcher, ItemReader, Map, ResultWriter
from skylift.asl.validation.expressions import expression, number_or_expression, path, reference, result_path, template
from skylift.asl.validation.fields import EVERYWHERE, JSONATA, JSONPATH, Allowed, Fields, kind_of
from skylift.asl.validation.nested import FlowReader
from skylift.asl.validation.report import as_service_location, listed, show
from skylift.asl.validation.resource import resource
from skylift.asl.validation.retry import catchers, retriers

MAX_LABEL = 40
MAX_ITEMS = 100_000_000
MAX_BATCH_BYTES = 262_144

DISTRIBUTED_ONLY = ("ItemReader", "ItemBatcher", "ResultWriter", "Label")
PROCESSOR_CONFIG: Allowed = dict.fromkeys(("Mode", "ExecutionType"), EVERYWHERE)
ITEM_READER: Allowed = {
    **dict.fromkeys(("Resource", "ReaderConfig"), EVERYWHERE),
    "Parameters": JSONPATH,
    "Arguments": JSONATA,
}
READER_CONFIG: Allowed = {
    **dict.fromkeys(
        (
            "InputType", "Transformation", "CSVHeaderLocation", "CSVHeaders", "CSVDelimiter", "MaxItems",
            "ItemsPointer", "ManifestType",
        ),
        EVERYWHERE,
    ),
    "MaxItemsPath": JSONPATH,
}  # fmt: skip
ITEM_BATCHER: Allowed = {
    **dict.fromkeys(("BatchInput", "MaxItemsPerBatch", "MaxInputBytesPerBatch"), EVERYWHERE),
    **dict.fromkeys(("MaxItemsPerBatchPath", "MaxInputBytesPerBatchPath"), JSONPATH),
}
RESULT_WRITER: Allowed = {
    **dict.fromkeys(("Resource", "WriterConfig"), EVERYWHERE),
    "Parameters": JSONPATH,
    "Arguments": JSONATA,
}
WRITER_CONFIG: Allowed = dict.fromkeys(("Transformation", "OutputType"), EVERYWHERE)


def map_state(fields: Fields, common: dict[str, Any], read: FlowReader) -> Map:
    processor_name = "Iterator" if fields.has("Iterator") and not fields.has("ItemProcessor") else "ItemProcessor"
    fields.exclusive("ItemProcessor", "Iterator")
    fields.exclusive("ItemSelector", "Parameters")
    if not fields.has(processor_name):
        fields.require("ItemProcessor")
    mode, execution_type = _processor_config(fields, processor_name)
    if mode == "INLINE":
        _refuse_distributed_fields(fields, processor_name)
    return Map(
        **common,
        item_processor=_processor(fields, processor_name, mode, read),
        mode="DISTRIBUTED" if mode == "DISTRIBUTED" else "INLINE",
        execution_type=execution_type,
        item_selector=_selector(fields),
        item_reader=_item_reader(fields),
        item_batcher=_item_batcher(fields),
        result_writer=_result_writer(fields),
        label=_label(fields),
        **_items(fields),
        **_limits(fields),
        result_selector=template(fields, "ResultSelector"),
        result_path=result_path(fields),
        retry=retriers(fields),
        catch=catchers(fields),
    )


def _processor_config(fields: Fields, name: str) -> tuple[str, Any]:
    """Mode and ExecutionType."""
    processor = fields.value.get(name)
    if not isinstance(processor, dict) or "ProcessorConfig" not in processor:
        return "INLINE", None
    around = Fields(processor, fields.at(name), "an ItemProcessor", fields.check, fields.language)
    value = around.object("ProcessorConfig")
    if not isinstance(value, dict):
        return "UNKNOWN", None
    config = Fields(value, around.at("ProcessorConfig"), "a ProcessorConfig", fields.check, fields.language)
    config.allow(PROCESSOR_CONFIG)
    mode = config.one_of("Mode", "INLINE", "DISTRIBUTED")
    execution_type = config.one_of("ExecutionType", "STANDARD", "EXPRESS")
    if mode == "DISTRIBUTED" and not config.has("ExecutionType"):
        config.require("ExecutionType")
    elif config.has("ExecutionType") and (mode == "INLINE" or not config.has("Mode")):
        _only_distributed(config, "ExecutionType")
    if mode is UNSET:
        return ("UNKNOWN" if config.has("Mode") else "INLINE"), None
    return mode, None if execution_type is UNSET else execution_type


def _only_distributed(fields: Fields, name: str) -> None:
    fields.report.add(
        "FIELD_NOT_ALLOWED",
        fields.at(name),
        f"{name!r} has a meaning only in a Distributed Map",
        'Remove it, or set "Mode": "DISTRIBUTED" in the ProcessorConfig of the ItemProcessor',
        service_message=f"Field '{name}' is not supported",
        service_location=as_service_location(fields.pointer),
    )


def _refuse_distributed_fields(fields: Fields, processor_name: str) -> None:
    for name in DISTRIBUTED_ONLY:
        if fields.has(name):
            _only_distributed(fields, name)


def _processor(fields: Fields, name: str, mode: str, read: FlowReader) -> Flow:
    value = fields.object(name)
    if not isinstance(value, dict):
        return Flow(pointer=fields.at(name), start_at="", states={})
    what = "an Iterator" if name == "Iterator" else "an ItemProcessor"
    return read(value, fields.at(name), what, fields.check, mode == "DISTRIBUTED")


def _selector(fields: Fields) -> Any:
    selector = template(fields, "ItemSelector")
    old = template(fields, "Parameters")
    return old if selector is UNSET else selector


def _items(fields: Fields) -> dict[str, Any]:
    fields.exclusive("ItemReader", "Items")
    items = fields.raw("Items")
    if items is not UNSET:
        if isinstance(items, str):
            if not expression(fields, "Items"):
                fields.wrong_type("Items", "a list or an expression that gives one")
        elif isinstance(items, list | dict):
            template(fields, "Items")
        else:
            fields.wrong_type("Items", "a list or an expression that gives one")
    return {"items": items, "items_path": path(fields, "ItemsPath", null=True)}


def _limits(fields: Fields) -> dict[str, Any]:
    for name in ("MaxConcurrency", "ToleratedFailureCount", "ToleratedFailurePercentage"):
        fields.exclusive(name, f"{name}Path")
    percentage: Any = fields.raw("ToleratedFailurePercentage")
    if not expression(fields, "ToleratedFailurePercentage"):
        percentage = fields.number("ToleratedFailurePercentage", 0.0, 100.0)
    return {
        "max_concurrency": number_or_expression(fields, "MaxConcurrency", 0),
        "max_concurrency_path": reference(fields, "MaxConcurrencyPath"),
        "tolerated_failure_count": number_or_expression(fields, "ToleratedFailureCount", 0),
        "tolerated_failure_count_path": reference(fields, "ToleratedFailureCountPath"),
        "tolerated_failure_percentage": percentage,
        "tolerated_failure_percentage_path": reference(fields, "ToleratedFailurePercentagePath"),
    }


_BAD_IN_LABEL = re.compile(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]")


def _label(fields: Fields) -> str | UnsetType:
    label = fields.text("Label")
    if not isinstance(label, str):
        return UNSET
    bad = sorted(set(_BAD_IN_LABEL.findall(label)))
    if not label or len(label) > MAX_LABEL:
        problem, mend = f"the Label has {len(label)} characters", f"Use 1 to {MAX_LABEL}"
    elif bad:
        problem, mend = f"the Label has {listed(show(c) for c in bad)}", "Use letters, digits, `-`, `_` and `.`"
    else:
        _check_unique_label(label, fields)
        return label
    fields.report.add("INVALID_LABEL", fields.at("Label"), problem, mend)
    return UNSET


def _check_unique_label(label: str, fields: Fields) -> None:
    first = fields.check.labels.setdefault(label, fields.at("Label"))
    if first != fields.at("Label"):
        fields.report.add(
            "DUPLICATE_LABEL", fields.at("Label"), f"{show(label)} is the Label at {first} too", "Choose another one"
        )


def _part(fields: Fields, name: str, what: str, allowed: Allowed) -> Fields | None:
    value = fields.object(name)
    if not isinstance(value, dict):
        return None
    part = Fields(value, fields.at(name), what, fields.check, fields.language)
    part.allow(allowed)
    return part


def _item_reader(fields: Fields) -> ItemReader | UnsetType:
    reader = _part(fields, "ItemReader", "an ItemReader", ITEM_READER)
    if reader is None:
        return UNSET
    reader.require("Resource")
    return ItemReader(
        pointer=reader.pointer,
        resource=resource(reader),
        reader_config=_reader_config(reader),
        parameters=template(reader, "Parameters"),
        arguments=template(reader, "Arguments"),
    )


def _reader_config(reader: Fields) -> dict[str, Any] | str | UnsetType:
    value = reader.raw("ReaderConfig")
    if isinstance(value, str) and reader.language == JSONATA:
        if not expression(reader, "ReaderConfig"):
            reader.wrong_type("ReaderConfig", "an object or an expression that gives one")
        return value
    config = _part(reader, "ReaderConfig", "a ReaderConfig", READER_CONFIG)
    if config is None:
        return UNSET
    for name, allowed in _READER_VALUES.items():
        if not expression(config, name):
            config.one_of(name, *allowed)
    _csv_headers(config)
    config.text("ItemsPointer")
    config.exclusive("MaxItems", "MaxItemsPath")
    number_or_expression(config, "MaxItems", 0, MAX_ITEMS)
    reference(config, "MaxItemsPath")
    return config.value


_READER_VALUES = {
    "InputType": ("CSV", "JSON", "JSONL", "MANIFEST", "PARQUET"),
    "Transformation": ("NONE", "LOAD_AND_FLATTEN"),
    "CSVHeaderLocation": ("FIRST_ROW", "GIVEN"),
    "CSVDelimiter": ("COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"),
    "ManifestType": ("ATHENA_DATA", "S3_INVENTORY"),
}


def _csv_headers(config: Fields) -> None:
    if expression(config, "CSVHeaders"):
        return
    headers = config.list("CSVHeaders")
    for index, header in enumerate(headers if isinstance(headers, list) else ()):
        if not isinstance(header, str):
            place = f"{config.at('CSVHeaders')}/{index}"
            config.report.add("WRONG_TYPE", place, f"a header must be text, it is {kind_of(header)}", "Write text")
    location = config.raw("CSVHeaderLocation")
    if location == "GIVEN" and not config.has("CSVHeaders"):
        config.missing(["CSVHeaders"], "CSVHeaderLocation GIVEN needs CSVHeaders", "Add CSVHeaders, a list of names")
    if location == "FIRST_ROW" and config.has("CSVHeaders"):
        config.report.add(
            "CONFLICTING_FIELDS",
            config.pointer,
            "CSVHeaders would be ignored: CSVHeaderLocation is FIRST_ROW",
            "Remove CSVHeaders, or write GIVEN",
        )


def _item_batcher(fields: Fields) -> ItemBatcher | UnsetType:
    batcher = _part(fields, "ItemBatcher", "an ItemBatcher", ITEM_BATCHER)
    if batcher is None:
        return UNSET
    batcher.exclusive("MaxItemsPerBatch", "MaxItemsPerBatchPath")
    batcher.exclusive("MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath")
    if not any(name in batcher.value for name in ITEM_BATCHER if name != "BatchInput"):
        batcher.report.add(
            "MISSING_FIELD",
            batcher.pointer,
            "an ItemBatcher needs a limit of its batches",
            "Add MaxItemsPerBatch or MaxInputBytesPerBatch",
        )
    return ItemBatcher(
        pointer=batcher.pointer,
        batch_input=template(batcher, "BatchInput"),
        max_items_per_batch=number_or_expression(batcher, "MaxItemsPerBatch", 0, MAX_ITEMS),
        max_items_per_batch_path=reference(batcher, "MaxItemsPerBatchPath"),
        max_input_bytes_per_batch=number_or_expression(batcher, "MaxInputBytesPerBatch", 0, MAX_BATCH_BYTES),
        max_input_bytes_per_batch_path=reference(batcher, "MaxInputBytesPerBatchPath"),
    )


def _result_writer(fields: Fields) -> ResultWriter | UnsetType:
    writer = _part(fields, "ResultWriter", "a ResultWriter", RESULT_WRITER)
    if writer is None:
        return UNSET
    if not writer.has("Resource") and not writer.has("WriterConfig"):
        writer.require("Resource")
    config = _part(writer, "WriterConfig", "a WriterConfig", WRITER_CONFIG)
    if config is not None:
        config.one_of("Transformation", "NONE", "COMPACT", "FLATTEN")
        config.one_of("OutputType", "JSON", "JSONL")
    written_to = resource(writer)
    return ResultWriter(
        pointer=writer.pointer,
        resource=written_to or UNSET,
        writer_config=UNSET if config is None else config.value,
        parameters=template(writer, "Parameters"),
        arguments=template(writer, "Arguments"),
    )
