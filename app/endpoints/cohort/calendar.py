"""Calendar days as the columns have them: whole numbers since 2000-01-01."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

EPOCH = date(2000, 1, 1)
"""Day 0 of the columns."""

EPOCH_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
"""Microsecond 0 of the columns."""


def to_microseconds(instant: datetime) -> int:
    """Since the first instant of 2000, UTC."""
    return (instant - EPOCH_INSTANT) // timedelta(microseconds=1)


def to_day(day: date) -> int:
    """Days since 2000-01-01."""
    return (day - EPOCH).days


def to_date(day: int) -> date:
    return EPOCH + timedelta(days=int(day))
