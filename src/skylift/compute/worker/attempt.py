"""Runs one attempt: arguments in, user code, outcome out. The same for every backend."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from skylift.compute.worker import current, failure
from skylift.compute.worker.checkpoint.place import beside
from skylift.compute.worker.context import LambdaContext, deadline
from skylift.compute.worker.loader import Function, Loader
from skylift.compute.worker.secrets import NO_MASK, Mask, Secrets
from skylift.compute.worker.traffic import MeteredBlobs, Traffic
from skylift.compute.worker.usage import Meter
from skylift.compute.worker.wire import WorkerConfig
from skylift.ports.compute import CodeRef, Failed, Lost, Succeeded, TaskCall

if TYPE_CHECKING:
    from skylift.asl.events import Usage
    from skylift.compute.worker.log_lines import Stream
    from skylift.ports.blobs import BlobStore

_PLAIN = frozenset({int, float, bool, str, type(None)})
_SHORT = 1_000
_EXACT = 2**53
_SHORTEST_LEAK = 6


class Stopping(BaseException):
    """The backend stops this attempt (timeout, cancellation): raised in user code so that its `finally` blocks run."""


def _ignore() -> None:
    return None


def _forget(_saved_ms: float) -> None:
    return None


class Runner:
    """Runs attempts one after the other, or in threads of one process (`process_wide` false)."""

    def __init__(self, config: WorkerConfig, blobs: Callable[[], BlobStore], *, process_wide: bool = True) -> None:
        self._config = config
        self._blobs = blobs
        self._process_wide = process_wide
        self._traffic = Traffic() if process_wide else None
        """Of one attempt at a time: what several in threads read and write cannot be told apart."""
        self._loader = Loader(blobs, config.cache_dir, config.paths)
        self._secrets = Secrets(config.secrets)
        self._codecs: dict[str | None, Any] = {}
        self._checkpoints = config.checkpoints or (beside(config.blobs) if config.blobs else None)

    def load(self, code: CodeRef) -> Function | Failed:
        """The code of a call; what its import raises is the call's failure."""
        try:
            return self._loader.function(code)
        except Stopping:
            raise
        except BaseException as error:  # noqa: BLE001 - importing runs user code, which may raise anything
            return failure.failed(error, NO_MASK)

    def mask(self, call: TaskCall) -> tuple[Mask, dict[str, str]] | Failed:
        """The call's secrets by name, and what hides them."""
        names = call.requirements.secrets
        if not names:
            return NO_MASK, {}
        try:
            found = {name: self._secrets.find(name) for name in names}
        except Exception as error:  # noqa: BLE001 - whatever a keyring or command does is the call's failure
            return failure.failed(error, NO_MASK)
        return Mask(tuple(found.values())), found

    def run(
        self,
        call: TaskCall,
        function: Function,
        meter: Meter,
        mask: Mask,
        secrets: dict[str, str],
        *,
        beat: Callable[[], None] = _ignore,
        saved: Callable[[float], None] = _forget,
        note: Callable[[str], None] | None = None,
    ) -> Succeeded | Failed | Lost:
        """Call user code. `Succeeded` comes back without usage (the caller adds it), `Failed` and `Lost` with it.

        Lost is an attempt that was warned of the loss of its machine, saved its state and left."""
        meter.start(self._traffic)
        timeout_ms = call.requirements.timeout_ms
        now = current.Attempt(
            token=call.token,
            run_id=call.run_id,
            task=call.task,
            label=call.label,
            number=call.attempt,
            deadline_ms=None if timeout_ms is None else meter.started_ms + timeout_ms,
            delivery=call.delivery,
            visit=call.visit,
            spot=call.market == "spot",
            checkpoints=self._checkpoints,
            beat=beat,
            saved=saved,
        )
        current.enter(now, process_wide=self._process_wide)
        try:
            with surroundings({**call.requirements.env, **secrets}):
                output = (
                    self._handler(call, function, meter)
                    if call.convention == "handler"
                    else self._task(call, function, mask)
                )
            now.standing.end()
            if mask.values:
                _refuse_leak(output, mask)
            return Succeeded(output=output)
        except Stopping:
            raise
        except current.Preempted as leaving:
            return Lost(reason=mask(str(leaving)), preempted=True, usage=self._usage(meter, now))
        except BaseException as error:  # noqa: BLE001 - user code may raise anything
            return self._failed(error, mask, note, self._usage(meter, now))
        finally:
            current.enter(None, process_wide=self._process_wide)

    def usage_names(self) -> tuple[str, str]:
        return self._config.backend, self._config.name

    def _usage(self, meter: Meter, now: current.Attempt) -> Usage:
        saved_ms = now.standing.end()
        usage = meter.usage(meter.stop(), *self.usage_names())
        return usage if saved_ms is None else msgspec.structs.replace(usage, saved_ms=saved_ms)

    def _failed(self, error: BaseException, mask: Mask, note: Callable[[str], None] | None, usage: Usage) -> Failed:
        if note is not None:
            note("\n".join(failure.locals_lines(error, mask)))
        return failure.failed(error, mask, usage)

    def _task(self, call: TaskCall, function: Function, mask: Mask) -> Any:
        arguments = call.arguments
        if not isinstance(arguments, dict):
            raise TypeError(
                f"the arguments of a task are an object of keyword arguments, got {type(arguments).__name__}"
            )
        hints = function.parameters
        codec = partial(self._codec, call.code.bundle)
        values = {
            name: value if _is_itself(value, hints.get(name, Any)) else codec().load(value, hints.get(name, Any))
            for name, value in arguments.items()
        }
        result = finished(_called(partial(function.call, **values)))
        if mask.values:
            _refuse_leak(result, mask)  # while it is in sight: what becomes an artifact is not
        return result if _stays(result) else codec().dump(result, function.returns, inline=call.inline_result)

    def _handler(self, call: TaskCall, function: Function, meter: Meter) -> Any:
        context = LambdaContext(
            function_name=call.task,
            aws_request_id=call.token,
            deadline_ms=deadline(meter.started_ms, call.requirements.timeout_ms),
            memory_limit_in_mb=call.requirements.memory_mib or 0,
            log_stream_name=call.label,
        )
        result = finished(_called(partial(function.call, call.arguments, context)))
        return result if type(result) in _PLAIN else _marshalled(result)

    def _metered(self) -> BlobStore:
        blobs = self._blobs()
        return blobs if self._traffic is None else MeteredBlobs(blobs, self._traffic)

    def _codec(self, bundle: str | None) -> Any:
        codec = self._codecs.get(bundle)
        if codec is None:
            from skylift.values.codec import ValueCodec

            blobs: Any = _LazyBlobs(self._metered)
            codec = ValueCodec(blobs, self._config.inline_limit, resolver=self._loader.resolver(bundle))
            self._codecs[bundle] = codec
        return codec


def _is_itself(value: Any, hint: Any) -> bool:
    """Whether JSON and value are the same thing, so that no codec is needed."""
    kind = type(value)
    return kind in _PLAIN and bool(hint is Any or hint is kind)


def _stays(result: Any) -> bool:
    kind = type(result)
    if kind is int:
        return bool(-_EXACT <= result <= _EXACT)
    return bool(kind is bool or result is None or (kind is str and len(result) < _SHORT and result.isascii()))


class _LazyBlobs:
    """A blob store that is opened when it is first needed: most calls need none."""

    def __init__(self, opened: Callable[[], BlobStore]) -> None:
        self._opened = opened

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened(), name)


class MarshalError(TypeError):
    """A handler returned something that has no JSON form."""


MarshalError.__name__ = "Runtime.MarshalError"


def _marshalled(result: Any) -> Any:
    """What Lambda makes of a handler's result: tuples become arrays, keys strings. Half characters, as names of files
    that are no UTF-8 have, can be in no history."""
    try:
        return json.loads(json.dumps(result, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise MarshalError(f"Unable to marshal response: {error}") from error


def _called(call: Callable[[], Any]) -> Any:
    """Call user code. A child that it forks ends where the code does: it must not answer in the name of the worker."""
    here = os.getpid()
    status = 1
    try:
        result = call()
        status = 0
        return result
    finally:
        if os.getpid() != here:
            sys.stdout.flush()
            os._exit(status)


def finished(result: Any) -> Any:
    """The result of user code that may have been asynchronous or lazy. A generator is run to its end: a list."""
    kind = type(result)
    if kind in _PLAIN or kind is dict or kind is list:
        return result
    if hasattr(result, "__await__"):
        import asyncio

        return asyncio.run(_awaited(result))
    if hasattr(result, "__aiter__") and hasattr(result, "asend"):
        import asyncio

        return asyncio.run(_collected(result))
    if hasattr(result, "__next__") and hasattr(result, "send"):
        return list(result)
    return result


async def _awaited(result: Any) -> Any:
    return await result


async def _collected(result: Any) -> list[Any]:
    return [item async for item in result]


@contextlib.contextmanager
def surroundings(variables: dict[str, str]) -> Iterator[None]:
    """Environment variables for the time of an attempt; the working directory is put back too."""
    home = os.getcwd()  # noqa: PTH109 - pathlib costs start-up time here
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        _return_to(home)


def _return_to(home: str) -> None:
    try:
        here = os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        here = ""
    if here != home:
        with contextlib.suppress(OSError):
            os.chdir(home)


class SecretInResult(ValueError):
    """A task returned the value of one of its secrets. Results are kept in the run's history, secrets never are."""


def _refuse_leak(output: Any, mask: Mask) -> None:
    values = [value for value in mask.values if len(value) >= _SHORTEST_LEAK]
    if any(secret in text for text in _texts(output) for secret in values):
        raise SecretInResult(
            "the result contains the value of a secret; results are kept in the run's history, so return its name or a "
            "hash of it instead"
        )


def _texts(output: Any) -> Iterator[str]:
    pending = [output]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, (bytes, bytearray)):
            yield value.decode("utf-8", "replace")
        elif isinstance(value, dict):
            pending.extend(value)
            pending.extend(value.values())
        elif isinstance(value, (list, tuple, set, frozenset)):
            pending.extend(value)


class Notes(Protocol):
    """Where lines for the attempt's log go."""

    def note(self, stream: Stream, text: str) -> None: ...


def catch_logging(notes: Notes) -> None:
    """Send records of `logging` to the attempt's log as soon as some code imports `logging` (which takes long)."""
    if "logging" in sys.modules:
        _install(notes)
    else:
        sys.meta_path.insert(0, _LoggingImport(notes))


def _install(notes: Notes) -> None:
    from skylift.compute.worker.log_handler import AttemptLogHandler

    AttemptLogHandler.install(notes)


class _LoggingImport:
    """An import hook for one module, once."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "logging":
            return None
        from importlib.machinery import PathFinder

        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        loader: Any = None if spec is None else spec.loader
        if loader is not None:
            load = loader.exec_module

            def load_and_install(module: Any) -> None:
                load(module)
                _install(self._notes)

            loader.exec_module = load_and_install
        return spec
