"""What a command line means by `FILE[:pipeline]`: a pipeline in a Python file, or a States Language document."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.errors import AuthorError, SetupError
from skylift.sdk.local_modules import is_local

if TYPE_CHECKING:
    from skylift.sdk.pipeline import Pipeline

DOCUMENT_SUFFIXES = (".json", ".asl")


class TargetError(SetupError):
    """The target on the command line names nothing that can run."""

    code = "TARGET"


class UserCodeError(AuthorError):
    """Importing the user's file raised."""

    code = "IMPORT"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Either `pipeline` or `document` is set."""

    path: Path
    pipeline: Any = None
    document: bytes | None = None

    @property
    def name(self) -> str:
        return str(self.pipeline.name) if self.pipeline is not None else self.path.name.split(".")[0]


def resolve_target(text: str) -> Target:
    """Load what `text` names. Raises TargetError, UserCodeError, or what compiling the file's pipelines raises."""
    file, _, wanted = text.partition(":")
    path = Path(file)
    if not path.exists():
        raise TargetError(f"{file}: no such file", hint=_nearby(path))
    if path.is_dir():
        raise TargetError(f"{file}: is a folder", hint="name a Python file or a States Language document")
    if path.suffix in DOCUMENT_SUFFIXES:
        return Target(path=path, document=path.read_bytes())
    if path.suffix != ".py":
        raise TargetError(f"{file}: neither a Python file (.py) nor a document ({', '.join(DOCUMENT_SUFFIXES)})")
    return Target(path=path, pipeline=_choose(path, load_module(path), wanted))


def checked_document(target: Target) -> bytes:
    """The text of a document target. Raises InvalidDefinition, which lists every problem, under the file's name."""
    from skylift.asl.diagnostics import InvalidDefinition
    from skylift.asl.parse import parse

    assert target.document is not None
    diagnostics = parse(target.document).diagnostics
    if any(found.severity == "ERROR" for found in diagnostics):
        raise InvalidDefinition(diagnostics, source=str(target.path))
    return target.document


def load_module(path: Path) -> ModuleType:
    """Import a user's file by path, with its folder importable, the way `python FILE` would find its neighbours; as a
    module of its package where it refers to that."""
    path = path.resolve()
    folder = _folder_of_package(path)
    name = ".".join(path.relative_to(folder).with_suffix("").parts)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if name in sys.stdlib_module_names:
        raise TargetError(f"{path}: has the name of a module of Python itself", hint="rename the file")
    if name in sys.modules and not is_local(getattr(sys.modules[name], "__file__", None)):
        raise TargetError(f"{path}: has the name of a module that Skylift uses", hint="rename the file")
    try:
        return importlib.import_module(name) if "." in name else _imported_file(name, path)
    except (AuthorError, TargetError):
        raise
    except SyntaxError as problem:
        place = f"{problem.filename or path}:{problem.lineno}" if problem.lineno else str(problem.filename or path)
        caret = f"\n  {problem.text.rstrip()}" if problem.text else ""
        raise UserCodeError(f"{place}: {problem.msg}{caret}") from problem
    except (Exception, SystemExit) as problem:
        raise UserCodeError(
            f"importing {path} failed: {_last_frame(problem, path)}", hint=_missing(problem)
        ) from problem


def _missing(problem: BaseException) -> str | None:
    """How to get a package that is not installed."""
    if not isinstance(problem, ModuleNotFoundError) or not problem.name:
        return None
    package = problem.name.partition(".")[0]
    return (
        f"install {package}, or import it inside the task that needs it: packages of its own are @task(environment=…)"
    )


def _imported_file(name: str, path: Path) -> ModuleType:
    loader = _ReadAnew(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:
        raise TargetError(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


class _ReadAnew(SourceFileLoader):
    """Without the compiled file of an earlier time, as `python FILE` does it: that one is taken to be of the file as it
    is when both have the same length and were changed within the same second."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _folder_of_package(path: Path) -> Path:
    """Where the imports of a file begin: the folder around its package if it imports from that, else its own."""
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    if folder == path.parent:
        return folder
    package = path.relative_to(folder).parts[0]
    return folder if _imports_from(path, package) else path.parent


def _imports_from(path: Path, package: str) -> bool:
    import ast

    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError):
        return False  # importing it says what is wrong
    named = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    named += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    relative = any(isinstance(node, ast.ImportFrom) and node.level for node in nodes)
    return relative or any(name.partition(".")[0] == package for name in named)


def _choose(path: Path, module: ModuleType, wanted: str) -> Pipeline[..., Any]:
    from skylift.sdk.pipeline import Pipeline

    found = {value.name: value for value in vars(module).values() if isinstance(value, Pipeline)}
    own = {name: value for name, value in found.items() if value.module == module.__name__}
    if wanted:
        if wanted in found:
            return found[wanted]
        raise TargetError(f"{path}: no pipeline named {wanted!r}", hint=_listing(found))
    if len(own) == 1:
        return next(iter(own.values()))
    if path.stem in own:
        return own[path.stem]
    if not own:
        raise TargetError(f"{path}: holds no pipeline", hint="decorate a function with @pipeline from skylift")
    raise TargetError(f"{path}: holds several pipelines", hint=f"say which: {path}:{sorted(own)[0]}; {_listing(own)}")


def _listing(found: dict[str, Any]) -> str:
    return f"it holds: {', '.join(sorted(found))}" if found else "it holds no pipeline"


def _last_frame(problem: BaseException, path: Path) -> str:
    line = None
    trace = problem.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line}: {type(problem).__name__}: {problem}" if line else f"{type(problem).__name__}: {problem}"


def _nearby(path: Path) -> str | None:
    import difflib

    folder = path.parent if path.parent.is_dir() else Path()
    names = [entry.name for entry in folder.iterdir() if entry.suffix in (".py", *DOCUMENT_SUFFIXES)]
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {folder / near[0]}?" if near else None


def read_input(text: str | None, option: str = "--input") -> Any:
    """`--input JSON`, `--input @file` or `--input -` (standard input) as a value."""
    if text is None:
        return None
    raw = text.encode()
    if text == "-":
        raw = sys.stdin.buffer.read()
    elif text.startswith("@"):
        raw = Path(text[1:]).read_bytes()
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as problem:
        shown = raw[:60].decode(errors="replace")
        raise TargetError(
            f"{option} is not JSON: {problem}; it begins {shown!r}",
            hint=f"quote it for the shell: {option} '{{\"a\": 1}}'",
        ) from None
