"""Amounts of money as options."""

from __future__ import annotations

import click


class Dollars(click.ParamType[str]):
    """`5`, `"5 USD"`; decimal text, as exact as it was written."""

    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from skylift.units import InvalidAmount, parse_usd

        try:
            return parse_usd(str(value))
        except InvalidAmount as problem:
            self.fail(f"{problem.message}" + (f" ({problem.hint})" if problem.hint else ""), param, ctx)
