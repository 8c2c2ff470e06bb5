"""Alerts: the first open fact of a kind at once, the others once an hour, never a value."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from app.mappings.facts import Fact
from app.mappings.frame import Span
from app.mappings.mllp.server import MllpCounts, describe_counts
from app.mappings.reasons import Failure, Outcome, Reason
from app.mappings.watching.alerts import GROUPS, PERIOD_SECONDS, SILENT, Alerts
from app.mappings.watching.metrics import build_exposition
from app.mappings.watching.status import FeedStatus, OpenItems
from app.mappings.working.quarantine import Settled

NOW = datetime(2019, 3, 14, 3, tzinfo=UTC)


class Log:
    """What was said, and a clock."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.seconds = 0.0

    def say(self, text: str, *values: object) -> None:
        self.lines.append(text % values)

    def clock(self) -> float:
        return self.seconds


def failing(reason: Reason, detail: str = "secret") -> Settled:
    return Settled(Fact(0, "OBX[1]", Span(0, 1)).failed(Failure(reason, detail)))


def test_the_first_of_a_group_is_told_and_the_others_are_counted() -> None:
    log = Log()
    alerts = Alerts(log.say, log.clock)
    alerts.note("lis", [failing(Reason.CODE_UNMAPPED), failing(Reason.UNIT_UNMAPPED)])
    alerts.note("lis", [failing(Reason.CODE_UNMAPPED)])
    alerts.note("his", [failing(Reason.CODE_UNMAPPED)])
    assert log.lines == [
        "feed alert: feed=lis group=dictionary first=CODE_UNMAPPED",
        "feed alert: feed=his group=dictionary first=CODE_UNMAPPED",
    ]
    alerts.digest()
    assert log.lines[2:] == [
        "feed alert digest: feed=his group=dictionary facts=1",
        "feed alert digest: feed=lis group=dictionary facts=3",
    ]


def test_a_group_that_goes_on_failing_is_only_digested() -> None:
    log = Log()
    alerts = Alerts(log.say, log.clock)
    for _ in range(3):
        alerts.note("lis", [failing(Reason.POISON)])
        alerts.digest()
    assert [line.split(":")[0] for line in log.lines] == ["feed alert", *["feed alert digest"] * 3]


def test_a_group_that_was_silent_for_an_hour_begins_anew() -> None:
    log = Log()
    alerts = Alerts(log.say, log.clock)
    alerts.note("lis", [failing(Reason.POISON)])
    alerts.digest()
    alerts.digest()
    alerts.note("lis", [failing(Reason.POISON)])
    assert log.lines.count("feed alert: feed=lis group=service first=POISON") == 2


def test_what_is_settled_or_the_normal_case_is_no_alert() -> None:
    log = Log()
    alerts = Alerts(log.say, log.clock)
    fact = Fact(0, "OBX[1]", Span(0, 1))
    unknown = Failure(Reason.PATIENT_UNKNOWN, "")
    alerts.note("lis", [Settled(fact.settled(Outcome.SUPERSEDED, "", Reason.OUT_OF_ORDER))])
    alerts.note("lis", [Settled(fact.settled(Outcome.WAITING, "", unknown.reason))])
    alerts.digest()
    assert log.lines == []


def test_the_next_digest_is_an_hour_after_the_last() -> None:
    log = Log()
    alerts = Alerts(log.say, log.clock)
    log.seconds = 600
    assert alerts.seconds_left == PERIOD_SECONDS - 600
    log.seconds = 4000
    assert alerts.seconds_left == 0
    alerts.digest()
    assert alerts.seconds_left == PERIOD_SECONDS


def test_every_reason_has_a_group() -> None:
    assert {reason.value for reason in Reason} - GROUPS.keys() == {each.value for each in SILENT}


def test_metrics_are_in_the_exposition_format() -> None:
    opened = {
        "CODE_UNMAPPED": OpenItems(2, NOW),
        "PATIENT_UNKNOWN": OpenItems(5, NOW - timedelta(days=3)),
    }
    status = FeedStatus("lis", NOW, 3, NOW - timedelta(seconds=90), opened)
    text = build_exposition([status], {}, {("lis", "stored"): 7}, NOW, "12")
    assert text.endswith("\n")
    lines = text.splitlines()
    assert 'ssci_feed_lag_seconds{feed="lis"} 90' in lines
    assert 'ssci_feed_pending_messages{feed="lis"} 3' in lines
    assert 'ssci_feed_open_facts{feed="lis",reason="PATIENT_UNKNOWN"} 5' in lines
    assert f'ssci_feed_oldest_open_timestamp_seconds{{feed="lis"}} {int(NOW.timestamp())}' in lines
    assert 'ssci_feed_facts_total{feed="lis",outcome="stored",process="12"} 7' in lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names)) == 7


def test_what_the_mllp_listener_counts_is_told() -> None:
    counts = MllpCounts(open=2, blocks=5, answers=Counter({"AA": 4, "": 1}))
    lines = build_exposition([], {}, {}, NOW, "12", describe_counts(counts)).splitlines()
    assert 'ssci_mllp_open_connections{process="12"} 2' in lines
    assert 'ssci_mllp_events_total{event="blocks",process="12"} 5' in lines
    assert 'ssci_mllp_events_total{event="answers_AA",process="12"} 4' in lines
    assert 'ssci_mllp_events_total{event="answers_none",process="12"} 1' in lines


def test_labels_are_escaped() -> None:
    status = FeedStatus('a"b\\c\nd', NOW, 0, None, {})
    assert '{feed="a\\"b\\\\c\\nd"} 0' in build_exposition([status], {}, {}, NOW, "1")
