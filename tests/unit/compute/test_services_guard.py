"""Who may reach what, and the threads and timers that do the work."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skylift.compute.services.addresses import inner, is_metadata, is_public
from skylift.compute.services.failure import ServiceFailure
from skylift.compute.services.policy import ServicePolicy
from skylift.compute.services.pool import Threads
from skylift.compute.services.timers import Timers


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text)


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
     "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:101::", "::7f00:1",
     "2001:db8::1", "198.18.0.1"],
)  # fmt: skip
def test_addresses_that_are_not_on_the_internet(text: str) -> None:
    assert not is_public(_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_that_are(text: str) -> None:
    assert is_public(_address(text))


@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_as_private_as_the_one_inside(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    mapped = ipaddress.IPv6Address((0xFFFF << 32) | number)
    translated = ipaddress.IPv6Address((0x64FF9B << 96) | number)
    tunnelled = ipaddress.IPv6Address((0x2002 << 112) | (number << 80))
    for embedded in (mapped, translated, tunnelled):
        assert inner(embedded) == address
        assert not is_public(embedded) or is_public(address)
        assert is_metadata(embedded) == is_metadata(address)


@pytest.mark.parametrize("text", ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "169.254.170.2"])
def test_metadata_needs_its_very_address_listed(text: str) -> None:
    for account, policy in (
        ("", ServicePolicy(http=["*", text])),
        ("1", ServicePolicy(http=["*", "metadata.example.org"])),
    ):
        with pytest.raises(ServiceFailure, match="credentials"):
            policy.check_address(account, "metadata.example.org", _address(text))
    ServicePolicy(http=[text]).check_address("1", text, _address(text))


def _allowed(check: Callable[[], None]) -> bool:
    try:
        check()
    except ServiceFailure as failure:
        assert failure.error == "States.Permissions"
        return False
    return True


@pytest.mark.parametrize(
    ("patterns", "host", "allowed"),
    [
        ([], "example.org", False),
        (["example.org"], "example.org", True),
        (["example.org"], "EXAMPLE.org.", True),
        (["example.org"], "api.example.org", False),
        (["*.example.org"], "api.example.org", True),
        (["*.example.org"], "example.org", False),
        (["*.example.org"], "badexample.org", False),
        (["*"], "anything.test", True),
        (["::1"], "[::1]", True),
    ],
)
def test_hosts(patterns: list[str], host: str, allowed: bool) -> None:
    policy = ServicePolicy(http=patterns)
    assert _allowed(lambda: policy.check_host("1", host)) is allowed
    assert _allowed(lambda: policy.check_host("", host))


def test_private_addresses_need_their_host_listed_by_name() -> None:
    private = _address("10.0.0.7")
    assert not _allowed(lambda: ServicePolicy(http=["*"]).check_address("1", "in.example.org", private))
    assert not _allowed(lambda: ServicePolicy(http=["*.example.org"]).check_address("1", "in.example.org", private))
    assert _allowed(lambda: ServicePolicy(http=["in.example.org"]).check_address("1", "in.example.org", private))
    assert _allowed(lambda: ServicePolicy(http=["10.0.0.7"]).check_address("1", "in.example.org", private))
    assert _allowed(lambda: ServicePolicy().check_address("", "in.example.org", private))


@pytest.mark.parametrize(
    ("patterns", "action", "allowed"),
    [
        ([], "getItem", False),
        (["dynamodb:*"], "getItem", True),
        (["dynamodb:Get*"], "getItem", True),
        (["dynamodb:get*"], "putItem", False),
        (["*"], "getItem", True),
        (["dynamo:*"], "getItem", False),
    ],
)
def test_services(patterns: list[str], action: str, allowed: bool) -> None:
    policy = ServicePolicy(services=patterns)
    assert _allowed(lambda: policy.check_service("1", "dynamodb", action)) is allowed
    assert _allowed(lambda: policy.check_service("", "dynamodb", action))


def test_actions_that_send_signed_requests_anywhere_are_never_an_accounts() -> None:
    assert not _allowed(lambda: ServicePolicy(services=["*"]).check_service("1", "machinelearning", "predict"))


# -- Threads and timers ------------------------------------------------------------------------------------------------


def test_one_account_leaves_threads_to_the_others() -> None:
    threads, gate, done = Threads("t", 4), threading.Event(), threading.Event()
    started = threading.Semaphore(0)

    def slow() -> None:
        started.release()
        gate.wait(60)

    for _ in range(20):
        threads.run("slow", slow)
    for _ in range(3):
        assert started.acquire(timeout=60)
    assert not started.acquire(blocking=False), "three of four threads at most"
    threads.run("other", done.set)
    assert done.wait(60)
    gate.set()
    for _ in range(17):
        assert started.acquire(timeout=60)
    threads.close()


def test_work_that_arrives_together_gets_threads_of_its_own() -> None:
    threads, meeting = Threads("t", 8), threading.Barrier(6, timeout=60)
    first = threading.Event()
    threads.run("", first.set)
    assert first.wait(60)
    met = [threading.Event() for _ in range(6)]

    def meet(event: threading.Event) -> None:
        meeting.wait()
        event.set()

    for event in met:
        threads.run("", lambda event=event: meet(event))
    assert all(event.wait(60) for event in met), "each waits for all the others"
    threads.close()


def test_timers_act_in_their_order_and_not_after_closing() -> None:
    now, order, done = [0.0], [], threading.Event()
    timers = Timers("t", clock=lambda: now[0])
    timers.after(0.02, lambda: (order.append("late"), done.set()))
    timers.after(0.01, lambda: order.append("early"))
    now[0] = 1.0
    timers.after(0.0, lambda: order.append("last"))
    assert done.wait(60)
    timers.after(99.0, lambda: order.append("never"))
    timers.close()
    now[0] = 1_000.0
    timers.after(0.0, lambda: order.append("never"))
    assert order[:2] == ["early", "late"] and "never" not in order


def test_without_boto3_the_failure_says_what_to_install() -> None:
    program = """
import sys
for name in ("boto3", "botocore"):
    sys.modules[name] = None
from skylift.compute.services import ServicesBackend
from skylift.ports.compute import CodeRef, TaskCall
import threading
done, seen = threading.Event(), []
backend = ServicesBackend(lambda token, outcome: (seen.append(outcome), done.set()))
code = CodeRef(bundle=None, target="arn:aws:states:::sqs:sendMessage")
names = {"token": "t", "run_id": "r", "task": "x", "label": "x"}
backend.submit([TaskCall(**names, attempt=1, code=code, arguments={}, convention="service")])
assert done.wait(60)
print(seen[0].error, seen[0].cause)
backend.close()
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert "pip install 'skylift[aws]'" in ran.stdout


def test_importing_the_backend_imports_no_sdk() -> None:
    program = "import sys, skylift.compute.services; print('boto3' in sys.modules, 'botocore' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.split() == ["False", "False"]
