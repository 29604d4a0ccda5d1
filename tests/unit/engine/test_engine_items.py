"""Item readers and result writers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from engine_world import World

from skylift.asl.commands import ReadItems, WriteResults
from skylift.engine.inputs import Recover
from skylift.engine.item_reader import ReaderFailed, read_page
from skylift.engine.result_writer import WriterFailed, write_results

GET = "arn:aws:states:::s3:getObject"
LIST = "arn:aws:states:::s3:listObjectsV2"
PUT = "arn:aws:states:::s3:putObject"


def command(bucket: object, key: str | None, config: dict[str, Any], *, limit: int = 2, **more: Any) -> ReadItems:
    arguments = {"Bucket": str(bucket), **({} if key is None else {"Key": key}), **more.pop("arguments", {})}
    resource = more.pop("resource", GET)
    return ReadItems(
        reader=1, resource=resource, arguments=arguments, config=config, limit=limit, cursor=more.get("cursor")
    )


def read_all(asked: ReadItems) -> list[Any]:
    """Page by page, as a run reads."""
    items, cursor = [], asked.cursor
    while True:
        page, cursor = read_page(
            ReadItems(
                reader=1,
                resource=asked.resource,
                arguments=asked.arguments,
                config=asked.config,
                limit=asked.limit,
                cursor=cursor,
            )
        )
        assert len(page) <= asked.limit
        items += page
        if cursor is None:
            return items


def test_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[1, {"x": 2}, null, 4, 5]')
    assert read_all(command(tmp_path, "a.json", {"InputType": "JSON"})) == [1, {"x": 2}, None, 4, 5]


def test_json_items_pointer(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"data": {"list": [1, 2], "map": {"a": 1}}}')
    assert read_all(command(tmp_path, "a.json", {"InputType": "JSON", "ItemsPointer": "/data/list"})) == [1, 2]
    expected = [{"Key": "a", "Value": 1}]
    assert read_all(command(tmp_path, "a.json", {"InputType": "JSON", "ItemsPointer": "/data/map"})) == expected


@pytest.mark.parametrize("packed", [False, True])
def test_json_lines(tmp_path: Path, packed: bool) -> None:
    data = b'{"a": 1}\n\n{"a": 2}\n{"a": 3}'
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(data) if packed else data)
    assert read_all(command(tmp_path, "a.jsonl", {"InputType": "JSONL"})) == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_csv_with_headers_in_the_first_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('\ufeffname,size\n"a, b",1\nc\nd,2,extra\n', encoding="utf-8")
    config = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
    assert read_all(command(tmp_path, "a.csv", config)) == [
        {"name": "a, b", "size": "1"},
        {"name": "c", "size": ""},
        {"name": "d", "size": "2"},
    ]


def test_csv_with_headers_given_and_another_delimiter(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1;2\n3;4\n")
    config = {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["H1"], "CSVDelimiter": "SEMICOLON"}
    assert read_all(command(tmp_path, "a.csv", config)) == [{"H1": "1"}, {"H1": "3"}]


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    write_table(pyarrow.table({"n": [1, 2, 3], "s": ["a", "b", None]}), tmp_path / "a.parquet")
    expected = [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}, {"n": 3, "s": None}]
    assert read_all(command(tmp_path, "a.parquet", {"InputType": "PARQUET"})) == expected


def test_inventory_manifest(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1.csv.gz").write_bytes(gzip.compress(b'"b","x/1.png","10"\n"b","x/2.png","20"\n'))
    (tmp_path / "data" / "2.csv.gz").write_bytes(gzip.compress(b'"b","x/3.png","30"\n'))
    manifest = {
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "files": [{"key": "data/1.csv.gz"}, {"key": "data/2.csv.gz"}],
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    items = read_all(command(tmp_path, "manifest.json", {"InputType": "MANIFEST"}))
    assert [item["Size"] for item in items] == ["10", "20", "30"]


def test_inventory_manifest_by_its_manifest_type(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text('"b","x/1.png"\n')
    (tmp_path / "manifest.json").write_text('{"fileSchema": "Bucket, Key", "files": [{"key": "1.csv"}]}')
    items = read_all(command(tmp_path, "manifest.json", {"ManifestType": "S3_INVENTORY"}))
    assert items == [{"Bucket": "b", "Key": "x/1.png"}]


@pytest.mark.parametrize("kind", ["JSONL", "CSV", "PARQUET"])
def test_athena_manifest(tmp_path: Path, kind: str) -> None:
    for number in (1, 2):
        place = tmp_path / f"part-{number}"
        if kind == "PARQUET":
            pyarrow = pytest.importorskip("pyarrow")
            from pyarrow.parquet import write_table

            write_table(pyarrow.table({"n": [str(number)]}), place)
        else:
            text = f'{{"n": "{number}"}}\n' if kind == "JSONL" else f"n\n{number}\n"
            place.write_bytes(gzip.compress(text.encode()))
    (tmp_path / "manifest.csv").write_text(f"file://{tmp_path}/part-1\npart-2\n")
    config = {"InputType": kind, "ManifestType": "ATHENA_DATA", "CSVHeaderLocation": "FIRST_ROW"}
    assert read_all(command(tmp_path, "manifest.csv", config)) == [{"n": "1"}, {"n": "2"}]
    (tmp_path / "manifest.csv").write_text("gone")
    with pytest.raises(ReaderFailed, match="does not exist"):
        read_all(command(tmp_path, "manifest.csv", config))


@pytest.mark.parametrize("delimiter", ["COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"])
def test_every_csv_delimiter(tmp_path: Path, delimiter: str) -> None:
    sign = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}[delimiter]
    (tmp_path / "a.csv").write_text(f"h{sign}i\n1{sign}2\n")
    config = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "CSVDelimiter": delimiter}
    assert read_all(command(tmp_path, "a.csv", config)) == [{"h": "1", "i": "2"}]


@pytest.mark.parametrize(
    ("name", "content", "config"),
    [
        ("a.json", b'[{"n": "1"}]', {"InputType": "JSON"}),
        ("a.csv", b"n\n1\n", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}),
        ("a.jsonl", b'{"n": "1"}', {"InputType": "JSONL"}),
    ],
)
def test_gzip_is_unpacked_whatever_the_name(tmp_path: Path, name: str, content: bytes, config: dict[str, Any]) -> None:
    (tmp_path / name).write_bytes(gzip.compress(content))
    assert read_all(command(tmp_path, name, config)) == [{"n": "1"}]


def test_listing(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("in/b.txt", "in/a.txt", "in/deep/c.txt", "out.txt"):
        (tmp_path / name).write_text("12345")
    items = read_all(command(tmp_path, None, {}, resource=LIST, arguments={"Prefix": "in/"}))
    assert [item["Key"] for item in items] == ["in/a.txt", "in/b.txt", "in/deep/c.txt"]
    assert {item["Size"] for item in items} == {5}
    some = read_all(command(tmp_path, None, {}, resource=LIST, arguments={"Prefix": "in/a"}))
    assert [item["Key"] for item in some] == ["in/a.txt"]


def test_listing_loaded_and_flattened(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 2]")
    (tmp_path / "b.json").write_text("[3]")
    config = {"InputType": "JSON", "Transformation": "LOAD_AND_FLATTEN"}
    assert read_all(command(tmp_path, None, config, resource=LIST)) == [1, 2, 3]


def test_fsspec_urls_and_file_urls(tmp_path: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/bucket/in/a.json", b"[1,2,3]")
    assert read_all(command("memory://bucket", "in/a.json", {"InputType": "JSON"})) == [1, 2, 3]
    listed = read_all(command("memory://bucket", None, {}, resource=LIST, arguments={"Prefix": "in/"}))
    assert [item["Key"] for item in listed] == ["in/a.json"]
    (tmp_path / "a.json").write_text("[7]")
    assert read_all(command(f"file://{tmp_path}", "a.json", {"InputType": "JSON"})) == [7]


def test_a_cursor_works_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[0, 1, 2, 3, 4]")
    assert read_page(command(tmp_path, "a.json", {"InputType": "JSON"}, cursor=2)) == ([2, 3], 4)
    assert read_page(command(tmp_path, "a.json", {"InputType": "JSON"}, cursor=4)) == ([4], None)


@pytest.mark.parametrize(
    ("text", "config", "message"),
    [
        ('{"a": 1}', {"InputType": "JSON"}, "Attempting to map over non-iterable node."),
        ("[1,", {"InputType": "JSON"}, "not valid JSON"),
        ('{"a": 1}\noops', {"InputType": "JSONL"}, "line 2"),
        ("a,a\n1,2", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, "CSV headers cannot contain duplicates."),
        ("a", {"InputType": "CSV"}, "CSVHeaderLocation"),
        ("a", {"InputType": "CSV", "CSVHeaderLocation": "GIVEN"}, "CSVHeaders"),
        ("a", {"InputType": "XML"}, "InputType must be one of"),
        ("a", {}, "InputType must be one of"),
        ("{}", {"InputType": "MANIFEST"}, "no S3 inventory manifest"),
        ("[]", {"InputType": "JSON", "ItemsPointer": "/a"}, "leads nowhere"),
        ("not parquet", {"InputType": "PARQUET"}, "not valid Parquet"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, config: dict[str, Any], message: str) -> None:
    (tmp_path / "f").write_text(text)
    with pytest.raises(ReaderFailed) as caught:
        read_all(command(tmp_path, "f", config))
    assert message in str(caught.value)


def test_missing_things(tmp_path: Path) -> None:
    with pytest.raises(ReaderFailed, match="The specified key does not exist"):
        read_page(command(tmp_path, "gone.json", {"InputType": "JSON"}))
    with pytest.raises(ReaderFailed, match="The specified bucket does not exist"):
        read_page(command(tmp_path / "gone", None, {}, resource=LIST))
    with pytest.raises(ReaderFailed, match="leads out of"):
        read_page(command(tmp_path, "../secret", {"InputType": "JSON"}))
    with pytest.raises(ReaderFailed, match="needs Key"):
        read_page(command(tmp_path, None, {"InputType": "JSON"}))
    with pytest.raises(ReaderFailed, match="is not known"):
        read_page(command(tmp_path, "a", {}, resource="arn:aws:states:::dynamodb:scan"))


# -- writing -----------------------------------------------------------------------------------------------------------


def written(bucket: Path, results: list[dict[str, Any]], *, part: int = 0, last: bool = True, **config: Any) -> Any:
    return write_results(
        WriteResults(
            writer=1,
            resource=PUT,
            arguments={"Bucket": str(bucket), "Prefix": "out/"},
            config=config,
            map_run="arn:aws:states:local:0:mapRun:p/label:run-7",
            results=results,
            part=part,
            last=last,
        )
    )


def result(number: int, status: str = "SUCCEEDED") -> dict[str, Any]:
    ending = {"Output": [number]} if status == "SUCCEEDED" else {"Error": "E", "Cause": "C"}
    return {"ExecutionArn": f"arn:{number}", "Input": {"n": number}, "Name": str(number), "Status": status, **ending}


def test_results_are_written_as_the_service_does(tmp_path: Path) -> None:
    written(tmp_path, [result(1), result(2, "FAILED")], part=0, last=False)
    details = written(tmp_path, [result(3)], part=1)
    assert details == {"Bucket": str(tmp_path), "Key": "out/run-7/manifest.json"}
    folder = tmp_path / "out" / "run-7"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["DestinationBucket"] == str(tmp_path)
    assert manifest["MapRunArn"].endswith(":run-7")
    files = manifest["ResultFiles"]
    assert [file["Key"] for file in files["SUCCEEDED"]] == [f"out/run-7/SUCCEEDED_{part}.json" for part in (0, 1)]
    assert [file["Key"] for file in files["FAILED"]] == ["out/run-7/FAILED_0.json"]
    assert files["PENDING"] == []
    assert files["FAILED"][0]["Size"] == (folder / "FAILED_0.json").stat().st_size
    (record,) = json.loads((folder / "SUCCEEDED_0.json").read_text())
    assert (record["Input"], record["Output"]) == ('{"n":1}', "[1]")
    assert record["OutputDetails"] == {"Included": True}


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    written(tmp_path, [result(1)])
    before = content()
    written(tmp_path, [result(1)])
    assert content() == before


@pytest.mark.parametrize(
    ("config", "name", "expected"),
    [
        ({"Transformation": "COMPACT", "OutputType": "JSON"}, "SUCCEEDED_0.json", "[[1],[2]]"),
        ({"Transformation": "FLATTEN", "OutputType": "JSON"}, "SUCCEEDED_0.json", "[1,2]"),
        ({"Transformation": "FLATTEN", "OutputType": "JSONL"}, "SUCCEEDED_0.jsonl", "1\n2\n"),
    ],
)
def test_transformations(tmp_path: Path, config: dict[str, Any], name: str, expected: str) -> None:
    written(tmp_path, [result(1), result(2)], **config)
    assert (tmp_path / "out" / "run-7" / name).read_text() == expected


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriterFailed, match="cannot be written"):
        written(tmp_path / "file" / "x", [result(1)])


# -- in a run ----------------------------------------------------------------------------------------------------------


def test_a_map_reads_maps_and_writes(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(2_500)))
    state = {
        "Type": "Map",
        "ItemReader": {
            "Resource": GET,
            "ReaderConfig": {"InputType": "JSONL"},
            "Arguments": {"Bucket": str(tmp_path), "Key": "in.jsonl"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "P",
            "States": {"P": {"Type": "Pass", "Output": "{% $states.input.n %}", "End": True}},
        },
        "ResultWriter": {"Resource": PUT, "Arguments": {"Bucket": str(tmp_path), "Prefix": "out"}},
    }
    world = World()
    run_id = world.start({"M": state})
    world.settle()
    record = world.record(run_id)
    assert record.status == "SUCCEEDED", record.cause
    manifest = json.loads((tmp_path / record.output["ResultWriterDetails"]["Key"]).read_text())
    outputs: list[str] = []
    for file in manifest["ResultFiles"]["SUCCEEDED"]:
        outputs += [entry["Output"] for entry in json.loads((tmp_path / file["Key"]).read_text())]
    assert sorted(map(int, outputs)) == list(range(2_500))


def test_a_reader_that_fails_fails_the_map(tmp_path: Path) -> None:
    state = {
        "Type": "Map",
        "ItemReader": {
            "Resource": GET,
            "ReaderConfig": {"InputType": "JSON"},
            "Arguments": {"Bucket": str(tmp_path), "Key": "in.json"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "P",
            "States": {"P": {"Type": "Pass", "End": True}},
        },
    }
    world = World()
    run_id = world.start({"M": state})
    world.settle()
    assert world.record(run_id).error == "States.ItemReaderFailed"


def test_a_page_that_was_asked_for_is_read_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text("[1, 2, 3]")
    state = {
        "Type": "Map",
        "ItemReader": {
            "Resource": GET,
            "ReaderConfig": {"InputType": "JSON"},
            "Arguments": {"Bucket": str(tmp_path), "Key": "in.json"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "P",
            "States": {"P": {"Type": "Pass", "End": True}},
        },
    }
    world = World()
    run_id = world.start({"M": state})
    late = list(world.inbox)
    assert late
    world.restart()
    world.ask(lambda reply: Recover(reply=reply))
    world.turn(*late)
    assert world.record(run_id).output == [1, 2, 3]
    assert world.events(run_id).count("ItemsRead") == 1
