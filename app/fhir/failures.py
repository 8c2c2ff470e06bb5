"""What the log may say of an unexpected failure."""

from __future__ import annotations

import traceback


def without_values(problem: BaseException) -> str:
    """Kind and place of a failure; its text is left out, as it could repeat what was sent."""
    frames = "".join(traceback.format_tb(problem.__traceback__))
    return f"{frames}{type(problem).__name__}"
