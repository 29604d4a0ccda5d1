"""What a worker runs attempts with: the process backend of this machine, and where artifacts are."""

from __future__ import annotations

from collections.abc import Callable

from skylift.compute.batch.joined import BoxSays
from skylift.config import Config
from skylift.lending.blobs import FACTORY, location, open_server_blobs
from skylift.lending.pool import PoolWorker
from skylift.lending.worker import Say
from skylift.ports.compute import Backend, Report
from skylift.remote.client import ServerClient
from skylift.remote.keys import signer_of
from skylift.wiring import secret_source

OPEN = "skylift.stores.open:open_blobs"


def attempts_backend(
    config: Config, server: str | None, artifacts: str | None, at_once: int | None
) -> Callable[[Report], Backend]:
    """Makes the backend once it is known whom it reports to. Artifacts are where `artifacts` says, else on the server.
    Code without a bundle is looked for in the project."""
    home = config.home / "worker"
    here = location(server, home / "artifacts") if server is not None else None

    def make(report: Report) -> Backend:
        from skylift.compute.process import ProcessBackend

        backend: Backend = ProcessBackend(
            report,
            blobs=artifacts or here,
            blobs_factory=OPEN if artifacts else FACTORY,
            checkpoints=None if artifacts else str(home / "checkpoints"),  # a server keeps none
            cache_dir=str(home / "bundles"),
            workers=at_once,
            secrets={name: secret_source(one, config.project) for name, one in config.secrets.items()},
            paths=(str(config.project),),
        )
        return backend

    return make


def pool_worker(
    config: Config,
    server: str,
    make_backend: Callable[[Report], Backend],
    *,
    name: str,
    vcpus: float | None,
    memory_mib: int | None,
    say: Say,
) -> PoolWorker:
    """Of this machine, or the part of it that is lent."""
    from skylift.compute.process.machine import this_machine

    here = this_machine()
    says = BoxSays(
        vcpus=vcpus or here.cpus,
        memory_mib=memory_mib or here.memory_mib,
        gpu=here.gpus[0] if here.gpus else None,
        gpus=len(here.gpus),
    )
    folder = config.home / "worker" / "logs"
    return PoolWorker(ServerClient(server, signer_of()), name, says, make_backend, str(folder), say=say)


def storing(config: Config, server: str | None) -> Callable[[bytes], str] | None:
    """Puts an answer that is too long for the API among the server's artifacts; its digest. None without a server of
    ours, which would look for it."""
    if server is None:
        return None
    place = location(server, config.home / "worker" / "artifacts")
    return lambda data: open_server_blobs(place).put(data)
