"""Long pure work beside the event loop, so that other callers need not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

LARGE_BYTES = 64 * 1024
"""What is read, checked or rendered of less than this takes some milliseconds at most."""


async def unhurried(size: int, function: Callable[..., T], *given: Any) -> T:
    """Calls a pure function, for more than LARGE_BYTES of input in a thread."""
    if size > LARGE_BYTES:
        return await asyncio.to_thread(function, *given)
    return function(*given)
