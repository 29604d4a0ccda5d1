"""What each kind of trigger sees, and that nothing is started twice or forgotten."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skylift.config import ServerSettings, ServiceSettings
from skylift.engine.schedule import InvalidSchedule
from skylift.errors import SetupError
from skylift.server.caller import Caller
from skylift.server.errors import ApiError
from skylift.server.triggers.actions import TriggerRequest, delete_trigger, get_trigger, list_triggers, put_trigger
from skylift.server.triggers.book import TriggerBook
from skylift.server.triggers.files import FilesWatcher, split_pattern
from skylift.server.triggers.runner import TriggerRunner, input_of
from skylift.server.triggers.schedule import ScheduleWatcher
from skylift.server.triggers.trigger import (
    Files,
    InvalidTrigger,
    Occurrence,
    Queue,
    Schedule,
    Trigger,
    TriggerState,
    check,
)
from skylift.stores.memory_resources import MemoryResources

ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:faces"
MINUTE = 60_000


@pytest.fixture
def book() -> TriggerBook:
    return TriggerBook(MemoryResources())


def trigger(source: Any, **fields: Any) -> Trigger:
    given = {"name": "t", "account": "123456789012", "region": "us-east-1", "start": ARN, "created_ms": 0}
    return Trigger(**{**given, "source": source, **fields})


def schedule(book: TriggerBook, expression: str, **fields: Any) -> ScheduleWatcher:
    made = trigger(Schedule(expression=expression), **fields)
    assert isinstance(made.source, Schedule)
    return ScheduleWatcher(made, made.source, book)


class TestSchedule:
    def test_a_tick_is_given_until_its_run_is_durable(self, book: TriggerBook) -> None:
        watcher = schedule(book, "rate(5 minutes)")
        assert watcher.look(4 * MINUTE) == []
        assert watcher.pause_s(4 * MINUTE + 45_000) == 15
        (tick,) = watcher.look(5 * MINUTE + 20)
        assert tick.key == "19700101T000500Z"
        assert tick.event == {"time": "1970-01-01T00:05:00Z", "trigger": "t"}
        assert watcher.look(5 * MINUTE + 30) == [tick]
        watcher.done(tick)
        assert watcher.look(9 * MINUTE) == []
        assert [o.key for o in watcher.look(10 * MINUTE)] == ["19700101T001000Z"]

    def test_two_servers_give_the_same_tick_the_same_name(self, book: TriggerBook) -> None:
        one, other = schedule(book, "rate(1 hour)"), schedule(book, "rate(1 hour)")
        (tick,) = one.look(60 * MINUTE)
        assert other.look(60 * MINUTE + 400) == [tick]
        one.done(tick)
        assert other.look(60 * MINUTE + 500) == []

    @pytest.mark.parametrize(
        ("expression", "off_ms", "latest"),
        [
            ("rate(1 second)", 7 * 86_400_000, "19700108T000000Z"),
            ("cron(0 6 * * ? *)", 40 * 86_400_000, "19700209T060000Z"),
            ("cron(0 0 1 1 ? *)", 800 * 86_400_000, "19720101T000000Z"),
        ],
    )
    def test_after_a_time_off_only_the_latest_tick_is_made_up_for(
        self, book: TriggerBook, expression: str, off_ms: int, latest: str
    ) -> None:
        watcher = schedule(book, expression)
        (tick,) = watcher.look(off_ms)
        assert tick.key == latest
        watcher.done(tick)
        assert watcher.look(off_ms) == []

    def test_a_time_zone_moves_the_tick_with_its_summer(self, book: TriggerBook) -> None:
        source = Schedule(expression="cron(0 9 * * ? *)", timezone="Europe/Berlin")
        winter, summer = 1_767_225_600_000, 1_782_864_000_000  # 2026-01-01 and 2026-07-01, midnight UTC
        keys = []
        for start in (winter, summer):
            made = trigger(source, created_ms=start)
            (tick,) = ScheduleWatcher(made, source, TriggerBook(MemoryResources())).look(start + 12 * 3_600_000)
            keys.append(tick.key)
        assert keys == ["20260101T080000Z", "20260701T070000Z"]


class TestFiles:
    def watcher(self, book: TriggerBook, folder: Path, **fields: Any) -> FilesWatcher:
        source = Files(url=f"{folder}/*.csv", **fields)
        watcher = FilesWatcher(trigger(source), source, book)
        watcher.begin()
        return watcher

    def write(self, path: Path, text: str, at_ms: int) -> None:
        path.write_text(text)
        os.utime(path, ns=(at_ms * 1_000_000,) * 2)

    def test_each_version_of_a_file_is_given_once_it_has_settled(self, book: TriggerBook, tmp_path: Path) -> None:
        self.write(tmp_path / "before.csv", "old", 500)
        watcher = self.watcher(book, tmp_path)
        self.write(tmp_path / "a.csv", "1", 10_000)
        self.write(tmp_path / "a.txt", "1", 10_000)
        assert watcher.look(11_000) == []
        (arrived,) = watcher.look(12_000)
        assert arrived.event["url"].endswith("/a.csv")
        assert arrived.event["size"] == 1
        assert arrived.event["modified"] == "1970-01-01T00:00:10Z"
        assert watcher.look(13_000) == [arrived]
        watcher.done(arrived)
        assert watcher.look(14_000) == []
        self.write(tmp_path / "a.csv", "22", 20_000)
        (again,) = watcher.look(30_000)
        assert again.key != arrived.key

    def test_a_file_that_was_moved_in_with_an_old_time_has_arrived(self, book: TriggerBook, tmp_path: Path) -> None:
        watcher = self.watcher(book, tmp_path)
        self.write(tmp_path / "old.csv", "1", 1)
        assert len(watcher.look(60_000)) == 1

    def test_existing_files_count_where_that_is_asked_for(self, book: TriggerBook, tmp_path: Path) -> None:
        self.write(tmp_path / "before.csv", "old", 500)
        assert len(self.watcher(book, tmp_path, existing=True).look(60_000)) == 1

    def test_what_has_gone_is_forgotten(self, book: TriggerBook, tmp_path: Path) -> None:
        watcher = self.watcher(book, tmp_path)
        self.write(tmp_path / "a.csv", "1", 1)
        watcher.done(watcher.look(60_000)[0])
        assert len(book.state("123456789012/t").seen) == 1
        (tmp_path / "a.csv").unlink()
        assert watcher.look(61_000) == []
        assert book.state("123456789012/t").seen == []

    def test_places_without_times_wait_for_a_second_look(self, book: TriggerBook) -> None:
        import fsspec

        memory = fsspec.filesystem("memory")
        source = Files(url="memory://triggers-in/*.csv")
        watcher = FilesWatcher(trigger(source), source, book)
        watcher.begin()
        memory.pipe_file("/triggers-in/a.csv", b"1")
        try:
            now = int(memory.info("/triggers-in/a.csv")["created"].timestamp() * 1000)
            looks = [len(watcher.look(now + later)) for later in (0, 5_000)]
        finally:
            memory.rm("/triggers-in", recursive=True)
        assert looks == [0, 1]

    def test_a_place_that_cannot_be_listed_is_named(self, book: TriggerBook) -> None:
        source = Files(url="nosuchscheme://x/*.csv")
        with pytest.raises(SetupError, match="nosuchscheme"):
            FilesWatcher(trigger(source), source, book).look(0)

    @pytest.mark.parametrize(
        ("url", "parts"),
        [
            ("s3://b/in/*.csv", ("s3://b/in", "*.csv")),
            ("/data/in/", ("/data/in", "*")),
            ("/data/*/x.csv", ("/data", "*/x.csv")),
        ],
    )
    def test_a_pattern_is_split_from_its_folder(self, url: str, parts: tuple[str, str]) -> None:
        assert split_pattern(url) == parts


class TestInput:
    def test_is_the_event_unless_something_else_is_said(self) -> None:
        event = Occurrence("k", {"url": "s3://b/a.csv"})
        assert input_of(trigger(Files(url="x")), event) == {"url": "s3://b/a.csv"}
        assert input_of(trigger(Files(url="x"), input={"n": 1}), event) == {"n": 1}
        made = input_of(trigger(Files(url="x"), input={"path": "{% $states.input.url & '!' %}"}), event)
        assert made == {"path": "s3://b/a.csv!"}

    def test_an_expression_that_fails_on_an_event_says_so(self) -> None:
        with pytest.raises(InvalidTrigger, match="input of trigger t"):
            input_of(trigger(Files(url="x"), input="{% $states.input.nothing %}"), Occurrence("k", {}))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (trigger(Schedule(expression="rate(0 minutes)")), InvalidSchedule),
        (trigger(Schedule(expression="rate(1 hour)", timezone="Mars/Base")), InvalidSchedule),
        (trigger(Schedule(expression="rate(1 hour)"), name="a b"), InvalidTrigger),
        (trigger(Schedule(expression="rate(1 hour)"), input="{% $$$ %}"), InvalidTrigger),
        (trigger(Queue(url="queue-1")), InvalidTrigger),
        (trigger(Files(url="")), InvalidTrigger),
        (trigger(Files(url="/in", every_s=0)), InvalidTrigger),
    ],
)
def test_a_trigger_that_cannot_work_is_refused(bad: Trigger, error: type[Exception]) -> None:
    with pytest.raises(error):
        check(bad)


class TestActions:
    settings = ServerSettings()
    caller = Caller()

    def put(self, book: TriggerBook, source: Any, settings: ServerSettings = settings, **fields: Any) -> Any:
        request = TriggerRequest(start="faces", source=source, **fields)
        return put_trigger(book, settings, ServiceSettings(), self.caller, "t", request, 5)

    def test_made_changed_listed_deleted(self, book: TriggerBook) -> None:
        made = self.put(book, Schedule(expression="rate(1 hour)"))
        assert (made.start, made.created_ms, made.enabled, made.runs) == (ARN, 5, True, 0)
        self.put(book, Schedule(expression="rate(2 hours)"), enabled=False)
        (listed,) = list_triggers(book, self.caller)
        assert listed.source == Schedule(expression="rate(2 hours)")
        assert not listed.enabled
        assert get_trigger(book, self.caller, "t") == listed
        delete_trigger(book, self.caller, "t")
        with pytest.raises(ApiError, match="no trigger 't'"):
            get_trigger(book, self.caller, "t")

    def test_accounts_see_nothing_of_each_other(self, book: TriggerBook) -> None:
        self.put(book, Schedule(expression="rate(1 hour)"))
        other = Caller(account="999999999999")
        assert list_triggers(book, other) == []
        with pytest.raises(ApiError):
            delete_trigger(book, other, "t")

    @pytest.mark.parametrize(
        "source",
        [Queue(url="https://sqs.us-east-1.amazonaws.com/1/q"), Files(url="/etc/*"), Files(url="s3://bucket/in/")],
    )
    def test_what_the_server_may_touch_must_be_allowed(self, book: TriggerBook, source: Any) -> None:
        with pytest.raises(ApiError, match="administrator") as refused:
            self.put(book, source)
        assert refused.value.status == 403
        assert list_triggers(book, self.caller) == []

    def test_an_allowed_folder_is_watched(self, book: TriggerBook, tmp_path: Path) -> None:
        settings = ServerSettings(allow_paths=(str(tmp_path),))
        assert self.put(book, Files(url=f"{tmp_path}/in/*.csv"), settings).name == "t"
        with pytest.raises(ApiError, match="allow_paths"):
            self.put(book, Files(url=f"{tmp_path}/../*.csv"), settings)


class Context:
    """As much of a ServerContext as the runner needs."""

    def __init__(self, resources: MemoryResources) -> None:
        self.resources = resources
        self.settings = ServerSettings(allow_services=("nosuchscheme:*",))
        self.now = 0

    def now_ms(self) -> int:
        return self.now

    async def blocking(self, function: Any, *args: Any) -> Any:
        return function(*args)


class TestRunner:
    def runner(self, book: TriggerBook, start: Any) -> TriggerRunner:
        context: Any = Context(book._resources)  # type: ignore[arg-type]
        return TriggerRunner(context, ServiceSettings(), start)

    def test_one_that_fails_does_not_hold_up_the_others(self, book: TriggerBook) -> None:
        started: list[str] = []

        async def start(_trigger: Trigger, name: str, value: Any) -> str:
            if value == "bad":
                raise SetupError("no such machine")
            started.append(name)
            return name

        class Two:
            def __init__(self) -> None:
                self.told: list[str] = []

            def look(self, now_ms: int) -> list[Occurrence]:
                return [Occurrence("1", "bad"), Occurrence("2", "good")]

            def done(self, occurrence: Occurrence) -> None:
                self.told.append(occurrence.key)

            def pause_s(self, now_ms: int) -> float:
                return 0

        watcher, made = Two(), trigger(Queue(url="https://x"))
        with pytest.raises(SetupError, match="no such machine"):
            asyncio.run(self.runner(book, start).step(made, watcher))
        assert started == ["t-2"]
        assert watcher.told == ["2"]
        assert book.state(made.key).runs == 1

    def test_triggers_are_watched_as_they_are_made_changed_and_deleted(self, book: TriggerBook) -> None:
        started: list[str] = []

        async def start(found: Trigger, name: str, value: Any) -> str:
            started.append(f"{found.start.rpartition(':')[2]} {name}")
            return name

        async def live() -> None:
            runner = self.runner(book, start)
            book.put(trigger(Schedule(expression="rate(1 minute)")))
            runner._context.now = MINUTE  # type: ignore[attr-defined]
            await runner._look()
            await asyncio.sleep(0.01)
            book.put(trigger(Schedule(expression="rate(1 minute)"), start=ARN + "2"))
            runner._context.now = 2 * MINUTE  # type: ignore[attr-defined]
            await runner._look()
            await asyncio.sleep(0.01)
            book.delete("123456789012", "t")
            await runner._look()
            assert runner._tasks == {}

        asyncio.run(live())
        assert started == ["faces t-19700101T000100Z", "faces2 t-19700101T000200Z"]

    def test_trouble_is_told_in_the_triggers_state(self, book: TriggerBook) -> None:
        async def start(*_: Any) -> str:
            raise AssertionError("nothing to start")

        async def live() -> TriggerState:
            runner = self.runner(book, start)
            made = book.put(trigger(Files(url="nosuchscheme://x")))
            await runner._look()
            await asyncio.sleep(0.01)
            for _, task in runner._tasks.values():
                task.cancel()
            return book.state(made.key)

        assert "nosuchscheme" in (asyncio.run(live()).error or "")

    def test_what_is_not_allowed_any_more_is_not_watched(self, book: TriggerBook) -> None:
        async def start(*_: Any) -> str:
            raise AssertionError("nothing to start")

        async def live() -> TriggerState:
            runner = self.runner(book, start)
            made = book.put(trigger(Queue(url="https://sqs.example/q")))
            await runner._look()
            await asyncio.sleep(0.01)
            for _, task in runner._tasks.values():
                task.cancel()
            return book.state(made.key)

        assert "administrator" in (asyncio.run(live()).error or "")


def test_stored_triggers_come_back_as_they_were() -> None:
    for source in (Schedule(expression="1h"), Queue(url="http://q"), Files(url="/in", existing=True)):
        made = trigger(source, input={"a": None})
        assert msgspec.json.decode(msgspec.json.encode(made), type=Trigger) == made
