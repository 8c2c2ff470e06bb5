"""The feeds' metrics as text, in exposition format 0.0.4: a few gauges need no library.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from app.mappings.watching.status import FeedStatus

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]


def build_exposition(
    status: Sequence[FeedStatus],
    messages: Mapping[tuple[str, str], int],
    facts: Mapping[tuple[str, str], int],
    now: datetime,
    process: str,
    mllp: Mapping[str, int] | None = None,
) -> str:
    """The metrics in the exposition format, in a fixed order; `mllp`: what the listener of this
    process has counted, if there is one."""
    families = [
        _family(
            "ssci_feed_last_message_timestamp_seconds",
            "gauge",
            "When the last message of a feed was received.",
            [
                (_feed(each), each.last_received.timestamp())
                for each in status
                if each.last_received
            ],
        ),
        _family(
            "ssci_feed_pending_messages",
            "gauge",
            "Messages that are kept and not processed yet.",
            [(_feed(each), each.pending) for each in status],
        ),
        _family(
            "ssci_feed_lag_seconds",
            "gauge",
            "For how long the oldest pending message has waited.",
            [(_feed(each), each.lag_seconds(now)) for each in status],
        ),
        _family(
            "ssci_feed_oldest_open_timestamp_seconds",
            "gauge",
            "When the oldest fact that a person is to look at was received.",
            [(_feed(each), each.oldest_open.timestamp()) for each in status if each.oldest_open],
        ),
        _family(
            "ssci_feed_open_facts",
            "gauge",
            "Open facts by reason.",
            [
                ((*_feed(each), ("reason", reason)), items.number)
                for each in status
                for reason, items in each.open.items()
            ],
        ),
        _counted("ssci_feed_messages_total", "Messages processed, by outcome.", messages, process),
        _counted("ssci_feed_facts_total", "Facts processed, by outcome.", facts, process),
        *(_listener(mllp, process) if mllp is not None else ()),
    ]
    return "".join(families)


def _feed(status: FeedStatus) -> Labels:
    return (("feed", status.feed),)


def _counted(name: str, about: str, counts: Mapping[tuple[str, str], int], process: str) -> str:
    """A counter of this process since its start: each worker process has its own."""
    samples: list[Sample] = [
        ((("feed", feed), ("outcome", outcome), ("process", process)), number)
        for (feed, outcome), number in sorted(counts.items())
    ]
    return _family(name, "counter", about, samples)


def _listener(counts: Mapping[str, int], process: str) -> list[str]:
    """The MLLP listener of this process: its open connections, and what it has counted since its
    start (`describe_counts`)."""
    events: list[Sample] = [
        ((("event", name), ("process", process)), number)
        for name, number in sorted(counts.items())
        if name != "open"
    ]
    opened: Sample = ((("process", process),), counts.get("open", 0))
    about = "Connections, blocks and answers (by MSA-1) of the MLLP listener."
    return [
        _family("ssci_mllp_open_connections", "gauge", "Open MLLP connections.", [opened]),
        _family("ssci_mllp_events_total", "counter", about, events),
    ]


def _family(name: str, kind: str, about: str, samples: Sequence[Sample]) -> str:
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        told = ",".join(f'{label}="{_escape(text)}"' for label, text in labels)
        lines.append(f"{name}{{{told}}} {value:.15g}")
    return "".join(f"{line}\n" for line in lines)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
