"""The batch scheduler in virtual time: thousands of jobs, fairness, large among small ones, stock, preemptions."""

from __future__ import annotations

import random
import time

from skylift.compute.batch.provider import Kind
from skylift.compute.batch.queues import QueuePolicy
from skylift.compute.batch.rehearsal import RehearsedJob, rehearse
from skylift.compute.batch.scheduler import PoolPolicy
from skylift.compute.batch.simulated import Stock
from skylift.ports.compute import Requirements

MINUTE = 60_000
SMALL = Kind(name="c5.large", vcpus=2, memory_mib=4096, startup_ms=MINUTE, usd_micro_per_hour=85_000)
LARGE = Kind(name="c5.2xlarge", vcpus=8, memory_mib=16_384, startup_ms=MINUTE, usd_micro_per_hour=340_000)
SPOT = Kind(name="c5.large.spot", vcpus=2, memory_mib=4096, startup_ms=MINUTE, usd_micro_per_hour=30_000, market="spot")


def job(number: int, **fields: object) -> RehearsedJob:
    return RehearsedJob(**{"name": f"job-{number}", "takes_ms": MINUTE, **fields})  # type: ignore[arg-type]


def test_five_thousand_jobs_of_all_sizes_take_seconds_and_all_run() -> None:
    draw = random.Random(7)
    jobs = [
        job(
            number,
            requirements=Requirements(cpus=draw.choice([0.5, 1, 2, 4]), memory_mib=draw.choice([None, 512, 4000])),
            takes_ms=draw.randint(1, 20) * MINUTE,
            submit_ms=draw.randint(0, 600) * MINUTE,
            run_id=f"run-{draw.randint(1, 30)}",
            pipeline=draw.choice("abc"),
        )
        for number in range(5000)
    ]
    began = time.thread_time()
    told = rehearse(jobs, PoolPolicy(kinds=(SMALL, LARGE), most_mcpus=256_000, idle_ms=5 * MINUTE))
    assert time.thread_time() - began < 60
    assert len(told.ends_ms) == 5000 and not told.refused
    assert told.most_mcpus <= 256_000 and told.started == told.stopped > 1
    work = sum(each.takes_ms * each.requirements.cpus for each in jobs)
    billed = told.cost_usd_micro / 85_000 * 2 * 60 * MINUTE
    assert work / billed > 0.6, "most of what is paid for is used"


def test_shares_get_machines_by_their_weights() -> None:
    policy = PoolPolicy(
        kinds=(LARGE,), most_mcpus=16_000, queues={"default": QueuePolicy(weights={"heavy": 3.0})}, idle_ms=MINUTE
    )
    jobs = [job(number, pipeline="heavy" if number % 2 else "light") for number in range(1200)]
    told = rehearse(jobs, policy)
    halfway = sorted(told.ends_ms.values())[len(jobs) // 2]
    ended = [name for name, at in told.ends_ms.items() if at <= halfway]
    heavy = sum(int(name.partition("-")[2]) % 2 for name in ended)
    assert 0.7 < heavy / len(ended) < 0.8


def test_who_used_much_before_comes_after_who_used_nothing() -> None:
    policy = PoolPolicy(kinds=(SMALL,), most_mcpus=2000, idle_ms=MINUTE)
    before = [job(number, pipeline="greedy", takes_ms=10 * MINUTE) for number in range(4)]
    later = [
        job(10 + number, pipeline=name, submit_ms=11 * MINUTE, takes_ms=10 * MINUTE)
        for number, name in enumerate(["greedy", "greedy", "new", "new"])
    ]
    told = rehearse([*before, *later], policy)
    assert max(told.starts_ms["job-12"], told.starts_ms["job-13"]) < min(told.starts_ms["job-10"], 2**62)


def test_a_queue_of_higher_priority_goes_first() -> None:
    policy = PoolPolicy(kinds=(SMALL,), most_mcpus=2000, queues={"high": QueuePolicy(priority=9)}, idle_ms=MINUTE)
    jobs = [job(number, task="train" if number >= 90 else "other") for number in range(100)]
    told = rehearse(jobs, policy, queue_of={"train": "high"})
    urgent = [told.ends_ms[f"job-{number}"] for number in range(90, 100)]
    assert max(urgent) <= min(sorted(told.ends_ms.values())[10:])


def test_a_large_job_is_not_starved_by_an_endless_stream_of_small_ones() -> None:
    stream = [job(number, submit_ms=number * MINUTE // 8, takes_ms=2 * MINUTE) for number in range(1600)]
    large = job(9999, requirements=Requirements(cpus=8), submit_ms=10 * MINUTE)
    told = rehearse([*stream, large], PoolPolicy(kinds=(LARGE,), most_mcpus=8000, idle_ms=MINUTE, patience_ms=MINUTE))
    assert told.starts_ms["job-9999"] < 40 * MINUTE < max(told.ends_ms.values())


def test_a_gang_is_not_starved_and_starts_at_once() -> None:
    stream = [job(number, submit_ms=number * MINUTE // 8, takes_ms=2 * MINUTE) for number in range(800)]
    gang = job(9999, requirements=Requirements(cpus=2, nodes=4), submit_ms=10 * MINUTE)
    told = rehearse([*stream, gang], PoolPolicy(kinds=(SMALL,), most_mcpus=8000, idle_ms=MINUTE, patience_ms=MINUTE))
    assert told.ends_ms["job-9999"] - told.starts_ms["job-9999"] == MINUTE
    assert told.starts_ms["job-9999"] < 40 * MINUTE


def test_a_kind_that_is_out_of_stock_is_asked_for_again_and_others_are_taken_meanwhile() -> None:
    policy = PoolPolicy(kinds=(SMALL, LARGE), most_mcpus=64_000, idle_ms=MINUTE, retry_ms=30_000)
    told = rehearse([job(number) for number in range(40)], policy, stock={"c5.2xlarge": Stock(most=1)})
    assert len(told.ends_ms) == 40
    alone = rehearse(
        [job(number, takes_ms=10 * MINUTE) for number in range(6)],
        PoolPolicy(kinds=(SMALL,), most_mcpus=64_000, idle_ms=MINUTE, retry_ms=30_000),
        stock={"c5.large": Stock(most=1)},
    )
    assert len(alone.ends_ms) == 6 and alone.most_mcpus == 2000


def test_what_spot_machines_lose_runs_again_and_nothing_is_lost() -> None:
    policy = PoolPolicy(kinds=(SMALL, SPOT), most_mcpus=32_000, idle_ms=MINUTE)
    needs = Requirements(spot=True)
    jobs = [job(number, requirements=needs, takes_ms=5 * MINUTE) for number in range(60)]
    lives = tuple(MINUTE * minutes for minutes in (3, 4, 5, 7, 9, 9, 11, 13))
    told = rehearse(jobs, policy, stock={"c5.large.spot": Stock(lives_ms=lives)})
    assert len(told.ends_ms) == 60 and told.lost > 5
    assert sum(told.deliveries.values()) == 60 + told.lost
    assert told.started > told.stopped


def test_a_rehearsal_gives_the_same_each_time() -> None:
    jobs = [job(number, requirements=Requirements(cpus=1 + number % 3)) for number in range(200)]
    policy = PoolPolicy(kinds=(SMALL, LARGE), most_mcpus=32_000, idle_ms=MINUTE)
    assert rehearse(jobs, policy) == rehearse(jobs, policy)


def test_what_can_never_run_is_refused_with_what_is_near() -> None:
    policy = PoolPolicy(kinds=(SMALL, LARGE), most_mcpus=16_000)
    asked = {
        "memory": Requirements(memory_mib=40_000),
        "cpus": Requirements(cpus=9),
        "gpu": Requirements(gpu="V100"),
        "both": Requirements(cpus=8, memory_mib=17_000),
        "gang": Requirements(cpus=8, nodes=3),
    }
    told = rehearse([job(0, name=name, requirements=needs) for name, needs in asked.items()], policy)
    assert told.refused == {
        "memory": "needs 39.06 GiB, and the largest machine allowed has 16 GiB",
        "cpus": "needs 9 vCPUs, and the largest machine allowed has 8",
        "gpu": "needs the GPU V100, and the machines allowed have none",
        "both": "needs 16.6 GiB, and the largest machine allowed has 16 GiB",
        "gang": "needs 3 members of 8 vCPUs at once, more than the compute environment's limit of 16 vCPUs and its "
        "machines have room for",
    }
    assert told.started == 0
