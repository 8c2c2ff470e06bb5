"""The trial: the protocol as data and as FHIR, the trial database (typed rows with two clocks), and
enrolment with the identity behind subject numbers. Its routes are in `app.trial.routes`."""

from app.trial.claims import claiming
from app.trial.codes import BASE, STUDY_ID, SUBJECT_NUMBER, UCUM, coding
from app.trial.definitions import TERMINOLOGY, group_coding
from app.trial.enrolment import Outcome, Replay, Trial, enrol, replay_enrolled
from app.trial.identity import (
    EnrolledSubject,
    HashedMrn,
    IdentityKeys,
    Mrn,
    birth_date_hmac,
    fetch_subjects_by_mrn,
    fetch_subjects_by_number,
    mrn_hmac,
    name_hmac,
)
from app.trial.mrns import MrnChange, MrnOutcome, Relinked, change_mrn, relink_mrn
from app.trial.participation import (
    Disposition,
    Recorded,
    build_revisions,
    reasons_for,
    record_participation,
)
from app.trial.projection import build_projection
from app.trial.protocol import (
    ActivityInstrument,
    Baseline,
    DeviationRule,
    EndpointDefinition,
    MeasurementKind,
    Protocol,
    ResponseRule,
    Visit,
)
from app.trial.protocol_file import load_protocol, parse_protocol
from app.trial.rebuild import rebuild
from app.trial.sourced import SOURCES, Mark
from app.trial.study import build_study, load_study
from app.trial.subjects import SubjectSummary, fetch_subject, fetch_subjects

__all__ = [
    "BASE",
    "SOURCES",
    "STUDY_ID",
    "SUBJECT_NUMBER",
    "TERMINOLOGY",
    "UCUM",
    "ActivityInstrument",
    "Baseline",
    "DeviationRule",
    "Disposition",
    "EndpointDefinition",
    "EnrolledSubject",
    "HashedMrn",
    "IdentityKeys",
    "Mark",
    "MeasurementKind",
    "Mrn",
    "MrnChange",
    "MrnOutcome",
    "Outcome",
    "Protocol",
    "Recorded",
    "Relinked",
    "Replay",
    "ResponseRule",
    "SubjectSummary",
    "Trial",
    "Visit",
    "birth_date_hmac",
    "build_projection",
    "build_revisions",
    "build_study",
    "change_mrn",
    "claiming",
    "coding",
    "enrol",
    "fetch_subject",
    "fetch_subjects",
    "fetch_subjects_by_mrn",
    "fetch_subjects_by_number",
    "group_coding",
    "load_protocol",
    "load_study",
    "mrn_hmac",
    "name_hmac",
    "parse_protocol",
    "reasons_for",
    "rebuild",
    "record_participation",
    "relink_mrn",
    "replay_enrolled",
]
