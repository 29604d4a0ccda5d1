"""The Python → States Language compiler: a `@pipeline` becomes a document, a task table and a source map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skylift.sdk.compiler.compile import CompiledPipeline, compile_pipeline
    from skylift.sdk.compiler.refuse import CompileError

__all__ = ["CompileError", "CompiledPipeline", "compile_pipeline"]


def __getattr__(name: str) -> Any:
    """The compiler is loaded when something is compiled, not when a pipeline is defined."""
    if name == "CompileError":
        from skylift.sdk.compiler.refuse import CompileError

        return CompileError
    if name in __all__:
        from skylift.sdk.compiler import compile

        return getattr(compile, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
