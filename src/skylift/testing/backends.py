"""The contract of a backend as tests. A backend's author subclasses `BackendConformance` and gives one fixture."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from skylift.ports.compute import (
    Cancelled,
    Failed,
    Lost,
    OutOfMemory,
    Requirements,
    Succeeded,
    TaskCall,
    TimedOut,
)
from skylift.testing.backend_abilities import BackendAbilities
from skylift.testing.backend_harness import WAIT_S, GivenImage, Harness, Outcomes, call, skip_unless, until, with_log
from skylift.testing.backend_places import BackendPlaces

__all__ = ["BackendConformance", "GivenImage", "Harness", "Outcomes", "call", "with_log"]


class BackendConformance(BackendAbilities, BackendPlaces):
    """Subclass it as `class TestMine(BackendConformance)` and define a fixture `harness` that yields a `Harness` with a
    fresh backend and closes it afterwards. Workers must be able to import `skylift.testing`."""

    # Results ----------------------------------------------------------------------------------------------------

    def test_a_call_runs_and_its_result_is_reported(self, harness: Harness) -> None:
        [outcome] = harness.run(call("add", a=2, b=3))
        assert isinstance(outcome, Succeeded)
        assert outcome.output == 5

    def test_usage_says_what_the_attempt_took_and_where(self, harness: Harness) -> None:
        [outcome] = harness.run(call("spin", ms=60))
        assert isinstance(outcome, Succeeded) and outcome.usage is not None
        usage = outcome.usage
        assert usage.duration_ms is not None and usage.duration_ms >= 25
        assert usage.cpu_ms is not None and usage.cpu_ms >= 5
        assert usage.peak_memory_mib is not None and usage.peak_memory_mib > 1
        assert usage.started_ms is not None and abs(usage.started_ms - time.time() * 1000) < 60_000
        assert usage.backend == harness.backend.name

    def test_a_known_token_is_the_same_attempt(self, harness: Harness) -> None:
        one = call("append", path=str(harness.folder / "runs"), text="x")
        harness.run(one)
        harness.run(one)
        harness.run(call("add", a=1, b=1))
        assert (harness.folder / "runs").read_text() == "x"

    def test_a_token_given_twice_in_one_submit_runs_once(self, harness: Harness) -> None:
        one = call("append", path=str(harness.folder / "runs"), text="x")
        harness.run(one, one, call("add", a=1, b=1))
        assert (harness.folder / "runs").read_text() == "x"
        assert harness.outcomes.order.count(one.token) == 1

    def test_text_of_any_kind_and_size_comes_back_whole(self, harness: Harness) -> None:
        texts = ["", "Grüße, 世界 🚀 \u0000 \u2028", "x" * 2_000, "big " * 500_000]
        calls = [call("echo", value=text) for text in texts[:3]]
        outcomes = harness.run(*calls)
        assert [outcome.output for outcome in outcomes if isinstance(outcome, Succeeded)] == texts[:3]

    def test_large_arguments_and_results_do_not_block_anything(self, harness: Harness) -> None:
        import msgspec

        large = {"rows": [{"n": number, "text": "abc" * 20} for number in range(20_000)]}
        calls = [msgspec.structs.replace(call("echo", value=large), inline_result=True) for _ in range(4)]
        outcomes = harness.run(*calls, call("add", a=1, b=2))
        assert all(isinstance(outcome, Succeeded) and outcome.output == large for outcome in outcomes[:4])

    def test_numbers_beyond_64_bits_survive(self, harness: Harness) -> None:
        [outcome] = harness.run(call("add", a=2**70, b=1))
        assert isinstance(outcome, Succeeded), outcome

    def test_coroutines_and_generators_are_run_to_their_end(self, harness: Harness) -> None:
        outcomes = harness.run(call("later", value=7), call("numbers", count=3), call("async_numbers", count=2))
        assert [outcome.output for outcome in outcomes if isinstance(outcome, Succeeded)] == [7, [0, 1, 2], [0, 1]]

    def test_many_calls_from_many_threads_all_report_once(self, harness: Harness) -> None:
        calls = [call("add", a=number, b=0) for number in range(harness.many)]
        threads = [
            threading.Thread(target=harness.backend.submit, args=(calls[start::8],), daemon=True) for start in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        outcomes = harness.run(*calls)
        assert [outcome.output for outcome in outcomes if isinstance(outcome, Succeeded)] == list(range(harness.many))
        assert len(harness.outcomes.order) == harness.many

    def test_a_wide_run_does_not_starve_another(self, harness: Harness) -> None:
        wide = [call("nap", ms=5, run="wide") for _ in range(harness.many // 2)]
        narrow = [call("nap", ms=5, run="narrow") for _ in range(3)]
        harness.backend.submit(wide)
        harness.run(*narrow)
        harness.wait(*wide)
        last = max(harness.outcomes.order.index(one.token) for one in narrow)
        if harness.backend.capabilities.stops:
            assert last < max(12, 0.6 * len(wide))

    # Handlers ---------------------------------------------------------------------------------------------------

    def test_a_handler_gets_event_and_context(self, harness: Harness) -> None:
        one = _handler("handler", {"x": [1, None, "é"]})
        [outcome] = harness.run(one)
        assert isinstance(outcome, Succeeded)
        assert outcome.output["event"] == {"x": [1, None, "é"]}
        assert outcome.output["request"] == one.token
        assert 0 < outcome.output["remaining"] <= 900_000

    def test_what_a_handler_cannot_marshal_is_its_failure(self, harness: Harness) -> None:
        [outcome] = harness.run(_handler("bad_handler", {}))
        assert isinstance(outcome, Failed)
        assert outcome.error == "Runtime.MarshalError"

    # Failures ---------------------------------------------------------------------------------------------------

    def test_an_exception_arrives_with_class_bases_message_and_frames(self, harness: Harness) -> None:
        [outcome] = harness.run(call("fail", message="no such thing"))
        assert isinstance(outcome, Failed)
        assert outcome.error == "TooSmall"
        assert outcome.classes == ("ValueError", "Exception", "BaseException")
        cause = json.loads(outcome.cause)
        assert cause["errorType"] == "TooSmall" and cause["errorMessage"] == "no such thing"
        assert "in fail" in cause["stackTrace"][0] and "compute/worker" not in outcome.cause

    def test_odd_exceptions_are_failures_too(self, harness: Harness) -> None:
        kinds = ["unprintable", "exit", "interrupt", "base", "group", "chained", "deep"]
        outcomes = harness.run(*(call("odd", kind=kind) for kind in kinds))
        assert all(isinstance(outcome, Failed) for outcome in outcomes)
        errors = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
        expected = ["Unprintable", "SystemExit", "KeyboardInterrupt", "Odd", "ExceptionGroup"]
        assert errors == [*expected, "RuntimeError", "RecursionError"]
        assert all(len(outcome.cause) <= 32_768 for outcome in outcomes if isinstance(outcome, Failed))
        [after] = harness.run(call("add", a=1, b=1))
        assert isinstance(after, Succeeded)

    def test_code_that_is_not_there_is_a_failure(self, harness: Harness) -> None:
        outcomes = harness.run(call("nothing_of_that_name"), call("NOT_CALLABLE"))
        assert all(isinstance(outcome, Failed) for outcome in outcomes)
        assert "nothing_of_that_name" in outcomes[0].cause  # type: ignore[union-attr]

    def test_wrong_arguments_are_a_failure(self, harness: Harness) -> None:
        [outcome] = harness.run(call("add", a=1, c=2))
        assert isinstance(outcome, Failed) and outcome.error == "TypeError"

    def test_a_dying_interpreter_costs_one_attempt(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.isolates, "isolates attempts")
        deaths = [call("die", how=how) for how in ("exit", "kill", "segfault")]
        others = [call("add", a=number, b=0) for number in range(20)]
        outcomes = harness.run(*others[:10], *deaths, *others[10:])
        lost = outcomes[10:13]
        assert all(isinstance(outcome, Lost) for outcome in lost), lost
        reasons = [outcome.reason for outcome in lost if isinstance(outcome, Lost)]
        assert "status 3" in reasons[0] and "SIGKILL" in reasons[1] and "SIGSEGV" in reasons[2]
        assert all(isinstance(outcome, Succeeded) for outcome in (*outcomes[:10], *outcomes[13:]))

    def test_a_lost_attempt_may_be_given_again(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.isolates, "isolates attempts")
        one = call("die_once", mark=str(harness.folder / "mark"))
        [lost] = harness.run(one)
        assert isinstance(lost, Lost)
        harness.outcomes.by_token.clear()
        [again] = harness.run(one)
        assert isinstance(again, Succeeded)

    # Limits -----------------------------------------------------------------------------------------------------

    def test_a_timeout_ends_the_attempt(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.stops, "stops attempts")
        [outcome] = harness.run(call("nap", ms=600_000, requirements=Requirements(timeout_ms=150)))
        assert isinstance(outcome, TimedOut) and not outcome.heartbeat

    def test_a_missed_heartbeat_ends_the_attempt(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.stops, "stops attempts")
        needs = Requirements(heartbeat_ms=2_000)
        alive = call("beat", times=12, every_ms=200, then_ms=0, requirements=needs)
        silent = call("beat", times=1, every_ms=10, then_ms=600_000, requirements=needs)
        outcomes = harness.run(alive, silent)
        assert isinstance(outcomes[0], Succeeded)
        assert isinstance(outcomes[1], TimedOut) and outcomes[1].heartbeat

    def test_too_much_memory_is_its_own_outcome(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.limits_memory, "limits memory")
        needs = Requirements(memory_mib=150)
        outcomes = harness.run(
            call("allocate", mib=600, hold_ms=600_000, requirements=needs),
            call("allocate", mib=20, requirements=needs),
            call("add", a=1, b=1),
        )
        assert isinstance(outcomes[0], OutOfMemory) and outcomes[0].limit_mib == 150, outcomes[0]
        assert isinstance(outcomes[1], Succeeded) and isinstance(outcomes[2], Succeeded)

    def test_what_ran_out_of_memory_may_be_given_again_with_more(self, harness: Harness) -> None:
        import msgspec

        skip_unless(harness.backend.capabilities.limits_memory, "limits memory")
        one = call("allocate", mib=300, hold_ms=600_000, requirements=Requirements(memory_mib=150))
        [outcome] = harness.run(one)
        assert isinstance(outcome, OutOfMemory), outcome
        harness.outcomes.by_token.clear()
        larger = msgspec.structs.replace(one.requirements, memory_mib=600)
        [again] = harness.run(msgspec.structs.replace(one, delivery=2, requirements=larger, arguments={"mib": 300}))
        assert isinstance(again, Succeeded), again

    def test_concurrency_of_a_task_is_limited(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.limits_concurrency, "limits concurrency")
        folder = str(harness.folder)
        calls = [call("alone", folder=folder, ms=15, requirements=Requirements(concurrency=1)) for _ in range(6)]
        outcomes = harness.run(*calls)
        assert [outcome.output for outcome in outcomes if isinstance(outcome, Succeeded)] == [True] * 6

    def test_what_can_never_run_is_refused_with_a_hint(self, harness: Harness) -> None:
        needs = Requirements(gpu="Imaginary9000:64")
        assert not harness.backend.offers(needs)
        if harness.backend.capabilities.limits_memory:
            [outcome] = harness.run(call("add", a=1, b=1, requirements=needs))
            assert isinstance(outcome, Failed) and "Imaginary9000" in outcome.cause

    # Surroundings -----------------------------------------------------------------------------------------------

    def test_environment_and_folder_are_the_attempts_own(self, harness: Harness) -> None:
        needs = Requirements(env={"SKYLIFT_TEST_VARIABLE": "on"})
        outcomes = harness.run(call("surroundings", requirements=needs))
        outcomes += harness.run(call("surroundings"))
        first, second = (outcome.output for outcome in outcomes if isinstance(outcome, Succeeded))
        assert first["variable"] == "on" and second["variable"] is None
        assert first["folder"] == second["folder"]

    def test_the_attempt_knows_itself(self, harness: Harness) -> None:
        one = call("myself")
        [outcome] = harness.run(one)
        assert isinstance(outcome, Succeeded)
        assert outcome.output == {"token": one.token, "run": "run", "number": 1}

    def test_a_missing_secret_is_a_clear_failure(self, harness: Harness) -> None:
        [outcome] = harness.run(call("add", a=1, b=1, requirements=Requirements(secrets=("SKYLIFT_NO_SUCH_SECRET",))))
        assert isinstance(outcome, Failed)
        assert outcome.error == "SecretMissing" and "SKYLIFT_NO_SUCH_SECRET" in outcome.cause

    def test_output_of_every_kind_reaches_the_log(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.captures, "captures output")
        log = harness.folder / "log" / "call.log"
        harness.run(with_log(call("speak"), log))
        lines = [line.split(" ", 2)[1:] for line in log.read_text().splitlines()]
        for stream, text in [
            ("stdout", "from print: grüß"),
            ("stderr", "from stderr"),
            ("stdout", "from a child"),
            ("stdout", "from C"),
            ("log", "WARNING speaker: from logging 1"),
            ("stdout", "no end of line"),
        ]:
            assert [stream, text] in lines, (text, lines)

    # Cancel, poll, sweep, close -----------------------------------------------------------------------------------

    def test_cancel_of_what_runs_waits_or_is_unknown(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.stops, "stops attempts")
        naps = [call("nap", ms=600_000) for _ in range(12)]
        harness.backend.submit(naps)
        tokens = [one.token for one in naps]
        until(lambda: "running" in harness.backend.poll(tokens).values(), WAIT_S * harness.patience)
        assert len(harness.backend.poll([*tokens, "unknown"])) == 12
        harness.backend.cancel([*tokens, "unknown"])
        assert all(isinstance(outcome, Cancelled) for outcome in harness.wait(*naps))
        assert harness.backend.poll(tokens) == {}
        [after] = harness.run(call("add", a=1, b=1))
        assert isinstance(after, Succeeded)

    def test_cancel_before_anything_runs(self, harness: Harness) -> None:
        one = call("nap", ms=50)
        harness.backend.submit([one])
        harness.backend.cancel([one.token])
        harness.backend.cancel([one.token])
        [outcome] = harness.wait(one)
        assert isinstance(outcome, Cancelled | Succeeded)

    def test_sweep_stops_what_is_not_live(self, harness: Harness) -> None:
        skip_unless(harness.backend.capabilities.stops, "stops attempts")
        stray, live = call("nap", ms=600_000), call("nap", ms=300)
        harness.backend.submit([stray, live])
        harness.backend.sweep([live.token])
        [swept, kept] = harness.wait(stray, live)
        assert isinstance(swept, Cancelled) and isinstance(kept, Succeeded), (swept, kept)

    def test_close_while_busy_reports_nothing_afterwards(self, harness: Harness) -> None:
        harness.backend.submit([call("nap", ms=200) for _ in range(5)])
        harness.backend.close()
        reported = len(harness.outcomes.order)
        time.sleep(0.05)
        assert len(harness.outcomes.order) == reported
        harness.backend.close()
        harness.backend.submit([call("add", a=1, b=1)])
        harness.backend.cancel(["anything"])
        harness.backend.sweep([])


def _handler(target: str, event: Any) -> TaskCall:
    import msgspec

    return msgspec.structs.replace(call(target), arguments=event, convention="handler")
