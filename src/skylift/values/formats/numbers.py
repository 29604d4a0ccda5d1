"""NumPy's numbers become Python's: the graph compares and counts with them, and no digit is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from skylift.values.codec import ValueCodec


def dump(value: Any, codec: ValueCodec) -> Any:
    """None (pickle) for what is no number of Python's range: long doubles, dates, structured scalars."""
    if isinstance(value, (np.longdouble, np.clongdouble)):
        return None
    if isinstance(value, (np.bool_, np.number, np.str_)) and not isinstance(value, np.timedelta64):
        return codec.dump(value.item(), inline=True)
    return None
