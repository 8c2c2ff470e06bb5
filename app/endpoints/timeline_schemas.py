"""The shape of a participant's timeline, for the OpenAPI document; a test holds the answer against
it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.endpoints.schemas import Instant, Shape, Versioned


class StudyDay(Shape):
    date: Annotated[str, Field(examples=["2019-03-14"])]
    study_day: Annotated[int | None, Field(description="The first dose is on day 1; no day 0.")]


class StoppedDay(StudyDay):
    why: str


class TimedEntry(Versioned):
    """`date` is as exact as it is known, `time` in the study's zone; null where it is not known."""

    date: str | None
    time: str | None
    study_day: int | None


class UsedEntry(TimedEntry):
    not_used: Annotated[str | None, Field(description="Why no figure uses it.")]


class Period(UsedEntry):
    last: Annotated[StudyDay | None, Field(description="Null of what went on at the cut.")]


class Participation(TimedEntry):
    """`date` is the consent's; status and reason are null if a later one is known than the cut."""

    status: str | None
    first_dose: StudyDay | None
    last_dose: StudyDay | None
    sirolimus_stopped: StoppedDay | None
    ended: StudyDay | None
    reason: str | None


class TimelineCount(UsedEntry):
    elapsed: int | None
    value: float | None
    written: str | None
    unit: str | None
    used_as: Annotated[str | None, Field(description="baseline, or a visit's code.")]
    response: str | None
    after_rescue: bool
    scale_suspect: bool


class DoseRun(StudyDay):
    """Days with the same dose by the same origin; a day that nothing tells is in none."""

    last: StudyDay
    days: int
    mg: float
    unit: str
    origin: str
    sources: list[Versioned]


class TimelineUnusedDose(Period):
    written: str | None
    unit: str | None
    status: str


class TimelineLevel(UsedEntry):
    value: float | None
    written: str | None
    unit: str | None
    hours_after_dose: float | None
    place: Annotated[str | None, Field(description="below, inside or above the range.")]
    trough: Annotated[str, Field(description="valid, or why it is no valid trough.")]


class TimelineEvent(Period):
    term: str | None
    soc: str | None
    grade: int | None
    serious: bool
    criteria: list[str]
    related: bool
    treatment_emergent: bool
    action: str | None
    outcome: str | None


class TimelineTreatment(Period):
    kind: Annotated[str, Field(description="rescue, background or prescribed.")]
    class_: Annotated[str, Field(alias="class")]
    drug: str | None
    status: str
    daily_mg: float | None
    intercurrent: Annotated[bool, Field(description="The first rescue treatment, if it counts.")]


class TimelineVisit(UsedEntry):
    visit: str
    status: str


class TimelineBleeding(UsedEntry):
    assessed: bool
    grade: Annotated[int | None, Field(description="WHO scale, 0 to 4.")]
    sites: list[str]


class TimelineScore(UsedEntry):
    instrument: str
    value: float | None
    platelet_item: float | None


class VisitResponse(Shape):
    visit: str
    target: StudyDay | None
    response: str | None
    why: Annotated[str | None, Field(description="Why it is no response.")]
    count: Versioned | None


class Timeline(Shape):
    """One participant under the two clocks, each list in order of time."""

    subject: str
    cutoff: str
    as_of: Instant
    software: str
    protocol: str
    definition: Annotated[str, Field(description="Whose rules choose baseline and visits.")]
    rule: Annotated[str, Field(description="The response rule.")]
    participation: Participation | None
    platelets: list[TimelineCount]
    doses: list[DoseRun]
    doses_not_used: list[TimelineUnusedDose]
    levels: list[TimelineLevel]
    adverse_events: list[TimelineEvent]
    treatments: list[TimelineTreatment]
    visits: list[TimelineVisit]
    bleeding: list[TimelineBleeding]
    activity: list[TimelineScore]
    responses: list[VisitResponse]
