"""The trial: the protocol as data and as FHIR, the trial database (typed rows with two clocks), and
enrolment with the identity behind subject numbers. Its routes are in `app.trial.routes`."""

from app.trial.claims import claiming
from app.trial.codes import STUDY_ID
from app.trial.enrolment import HashedMrn, Outcome, Replay, Trial, enrol
from app.trial.identity import (
    EnrolledSubject,
    IdentityKeys,
    Mrn,
    birth_date_hmac,
    fetch_subjects_by_mrn,
    mrn_hmac,
    name_hmac,
)
from app.trial.projection import build_projection
from app.trial.protocol import (
    Baseline,
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
    "SOURCES",
    "STUDY_ID",
    "Baseline",
    "EndpointDefinition",
    "EnrolledSubject",
    "HashedMrn",
    "IdentityKeys",
    "Mark",
    "MeasurementKind",
    "Mrn",
    "Outcome",
    "Protocol",
    "Replay",
    "ResponseRule",
    "SubjectSummary",
    "Trial",
    "Visit",
    "birth_date_hmac",
    "build_projection",
    "build_study",
    "claiming",
    "enrol",
    "fetch_subject",
    "fetch_subjects",
    "fetch_subjects_by_mrn",
    "load_protocol",
    "load_study",
    "mrn_hmac",
    "name_hmac",
    "parse_protocol",
    "rebuild",
]
