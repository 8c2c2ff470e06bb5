"""`numerous`: a dataclass for records of which every message makes dozens.

To the type checker it is `dataclass`, and with `frozen=True` it refuses every assignment. When the
program runs the class is not frozen: setting the attributes of a frozen record costs several times
as much, and was a twelfth of the time of a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as numerous
else:
    from dataclasses import dataclass

    def numerous(*, frozen, slots, eq=True):
        """The decorator; equal records have equal hashes, as those of a frozen dataclass."""
        assert frozen
        return dataclass(slots=slots, eq=eq, unsafe_hash=eq)


__all__ = ["numerous"]
