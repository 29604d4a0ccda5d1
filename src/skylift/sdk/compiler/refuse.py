"""What cannot be compiled: the error that points at the source and says what to do instead."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from skylift.errors import AuthorError

IN_A_TASK = "put it in a @task"


class CompileError(AuthorError):
    """A pipeline's source holds something that has no exact States Language form. `hint` is the mend."""

    code = "COMPILE"

    def __init__(self, message: str, *, file: str, line: int, column: int, text: str, width: int, mend: str) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.mend = mend
        self.reason = message
        super().__init__(f"{file}:{line}:{column + 1}: {message}{_excerpt(text, column, width)}", hint=mend)


class Refusal(Exception):
    """Raised by the compiler's parts where they see something they cannot express."""

    def __init__(self, node: ast.AST | None, message: str, mend: str = IN_A_TASK) -> None:
        super().__init__(message)
        self.node = node
        self.message = message
        self.mend = mend


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceText:
    """The lines a refusal quotes. Line numbers in the tree are the file's own."""

    file: str
    lines: tuple[str, ...]
    first_line: int
    indent: int

    def error(self, refusal: Refusal, fallback_line: int) -> CompileError:
        line = getattr(refusal.node, "lineno", fallback_line)
        column = getattr(refusal.node, "col_offset", 0)
        end_line = getattr(refusal.node, "end_lineno", line)
        end = getattr(refusal.node, "end_col_offset", None)
        index = line - self.first_line
        raw = self.lines[index].rstrip("\n") if 0 <= index < len(self.lines) else ""
        start = self.indent + len(raw[self.indent :].encode()[:column].decode(errors="ignore"))
        if end is None or end_line != line:
            stop = len(raw)
        else:
            stop = self.indent + len(raw[self.indent :].encode()[:end].decode(errors="ignore"))
        return CompileError(
            refusal.message,
            file=self.file,
            line=line,
            column=start,
            text=raw,
            width=max(1, stop - start),
            mend=refusal.mend,
        )


def _excerpt(text: str, column: int, width: int) -> str:
    if not text.strip():
        return ""
    return f"\n    {text}\n    {' ' * column}{'^' * width}"
