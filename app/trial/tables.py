"""The trial database (schema `trial`) and the identity tables, as SQLAlchemy metadata.

Every trial row comes from one version of one resource and has two clocks:

* its clinical time: the half-open interval `clinical_from`–`clinical_to` (UTC) with the precision
  at which it was recorded (`year`, `month`, `day`, `minute`, `second`, `millisecond`, `period`;
  null together with the interval where the resource has no usable time) and `clinical_date`, the
  calendar day in the trial's zone (null where only month or year is known);
* its system time `system` = [when this version became current, when it was superseded).

So what was known at an instant is `system @> instant`, and what is current `upper_inf(system)`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, TSTZRANGE

TRIAL = "trial"
IDENTITY = "identity"

metadata = sa.MetaData()


def _text() -> sa.Text:
    return sa.Text(collation="C")


def _instant() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def _needed(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _trial_table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    table = sa.Table(
        name,
        metadata,
        sa.Column("resource_type", _text(), primary_key=True),
        sa.Column("resource_id", _text(), primary_key=True),
        sa.Column("resource_version", sa.Integer, primary_key=True, autoincrement=False),
        _needed("subject", _text()),
        *columns,
        sa.Column("clinical_from", _instant()),
        sa.Column("clinical_to", _instant()),
        sa.Column("precision", _text()),
        sa.Column("clinical_date", sa.Date),
        _needed("system", TSTZRANGE),
        schema=TRIAL,
    )
    kind = [table.c.kind] if "kind" in table.c else []
    sa.Index(f"{name}_subject", table.c.subject, *kind, table.c.clinical_from)
    sa.Index(f"{name}_system", sa.func.lower(table.c.system))
    return table


# One row per version of a ResearchSubject. Clinical time: consent. `reason`: of its latest change.
subject = _trial_table(
    "subject",
    _needed("study", _text()),
    _needed("status", _text()),
    sa.Column("consent", _text()),
    sa.Column("arm", _text()),
    sa.Column("age_at_consent", sa.Integer),
    sa.Column("ended", sa.Date),
    _needed("synthetic", sa.Boolean),
    sa.Column("reason", _text()),
)

# Patient. No clinical time.
demographic = _trial_table(
    "demographic",
    sa.Column("gender", _text()),
    sa.Column("birth_year", sa.Integer),
)

# Condition that is one of the protocol's connective tissue diseases. Clinical time: onset.
diagnosis = _trial_table(
    "diagnosis",
    _needed("code", _text()),
    sa.Column("clinical_status", _text()),
    sa.Column("verification", _text()),
)

# Observation of a measurement that the protocol names. Clinical time: collection.
# `value` is in the protocol's canonical unit, or null with the unit as sent in `unit`.
measurement = _trial_table(
    "measurement",
    _needed("kind", _text()),
    _needed("code", _text()),
    _needed("status", _text()),
    sa.Column("value", sa.Numeric),
    sa.Column("unit", _text()),
    sa.Column("comparator", _text()),
    sa.Column("data_absent_reason", _text()),
    _needed("analytic_suspect", sa.Boolean),
    _needed("scale_suspect", sa.Boolean),
)

# MedicationAdministration of sirolimus. `amount` in mg, or null with the unit as sent in `unit`.
# `source`: of a dose at home `diary` or `pill-count`, else null (as the hospital recorded it);
# `total`: of a pill count the mg taken from `clinical_from` to `clinical_to`.
dose = _trial_table(
    "dose",
    _needed("status", _text()),
    sa.Column("amount", sa.Numeric),
    sa.Column("unit", _text()),
    sa.Column("source", _text()),
    sa.Column("total", sa.Numeric),
)

# Encounter whose type is one of the protocol's visits.
visit = _trial_table(
    "visit",
    _needed("visit", _text()),
    _needed("status", _text()),
)

# AdverseEvent. Clinical time: onset (`date`). `grading`: the version of CTCAE; `soc` its system
# organ class; `action` with sirolimus; `resolved` the last day.
adverse_event = _trial_table(
    "adverse_event",
    _needed("status", _text()),
    _needed("actuality", _text()),
    sa.Column("term", _text()),
    sa.Column("serious", sa.Boolean),
    _needed("seriousness_criteria", ARRAY(_text())),
    sa.Column("grade", sa.Integer),
    sa.Column("severity", _text()),
    sa.Column("outcome", _text()),
    sa.Column("causality", _text()),
    sa.Column("expected", sa.Boolean),
    sa.Column("recorded", _instant()),
    sa.Column("soc", _text()),
    sa.Column("grading", _text()),
    sa.Column("action", _text()),
    sa.Column("resolved", sa.Date),
)

# Observation of an activity score; `platelet_item` is that item's part of `value`.
activity_score = _trial_table(
    "activity_score",
    _needed("kind", _text()),
    _needed("status", _text()),
    sa.Column("value", sa.Numeric),
    sa.Column("platelet_item", sa.Numeric),
    sa.Column("data_absent_reason", _text()),
)

# Observation of bleeding. `grade` of the WHO scale where it was assessed.
bleeding = _trial_table(
    "bleeding",
    _needed("status", _text()),
    _needed("assessed", sa.Boolean),
    sa.Column("grade", sa.Integer),
    _needed("sites", ARRAY(_text())),
)

# Treatment other than sirolimus: `kind` is rescue (MedicationAdministration), background
# (MedicationStatement) or prescribed (MedicationRequest, also of sirolimus, whose `class` is
# study-medication). `amount` of one dose in `unit`; `prednisone_mg` what a steroid is worth: a
# day's dose, of a rescue one dose. Clinical time: from the first day to the last.
treatment = _trial_table(
    "treatment",
    _needed("kind", _text()),
    _needed("class", _text()),
    sa.Column("drug", _text()),
    _needed("status", _text()),
    sa.Column("amount", sa.Numeric),
    sa.Column("unit", _text()),
    sa.Column("daily_mg", sa.Numeric),
    sa.Column("prednisone_mg", sa.Numeric),
)

# QuestionnaireResponse to the eligibility form. `answers` (met, not-met, unknown, overridden) stand
# in the order of `criteria`. Clinical time: when it was filled in.
eligibility = _trial_table(
    "eligibility",
    _needed("status", _text()),
    _needed("criteria", ARRAY(_text())),
    _needed("answers", ARRAY(_text())),
)

TRIAL_TABLES = (
    subject,
    demographic,
    diagnosis,
    measurement,
    dose,
    visit,
    adverse_event,
    activity_score,
    bleeding,
    treatment,
    eligibility,
)

# Identity: who a subject is. Hospital identifiers are encrypted and looked up by keyed HMAC.
subject_identity = sa.Table(
    "subject_identity",
    metadata,
    sa.Column("subject", _text(), primary_key=True),
    _needed("sequence", sa.Integer),
    sa.Column("name_hmac", sa.LargeBinary),
    sa.Column("birth_date_hmac", sa.LargeBinary),
    sa.Column("birth_date_key", _text()),
    sa.Column("birth_date_ciphertext", sa.LargeBinary),
    _needed("request_hmac", sa.LargeBinary),
    sa.Column("idempotency_hmac", sa.LargeBinary),
    _needed("created", _instant()),
    sa.UniqueConstraint("sequence", name="subject_identity_sequence"),
    sa.UniqueConstraint("idempotency_hmac", name="subject_identity_idempotency"),
    schema=IDENTITY,
)

subject_mrn = sa.Table(
    "subject_mrn",
    metadata,
    sa.Column("authority", _text(), primary_key=True),
    sa.Column("mrn_hmac", sa.LargeBinary, primary_key=True),
    sa.Column(
        "subject",
        _text(),
        sa.ForeignKey(subject_identity.c.subject, name="subject_mrn_subject"),
        nullable=False,
    ),
    _needed("mrn_key", _text()),
    _needed("mrn_ciphertext", sa.LargeBinary),
    _needed("created", _instant()),
    schema=IDENTITY,
)
sa.Index("subject_mrn_of_subject", subject_mrn.c.subject)

# Why a subject was enrolled although a criterion asks otherwise: the site's own words, encrypted.
override_reason = sa.Table(
    "override_reason",
    metadata,
    sa.Column(
        "subject",
        _text(),
        sa.ForeignKey(subject_identity.c.subject, name="override_reason_subject"),
        primary_key=True,
    ),
    sa.Column("criterion", _text(), primary_key=True),
    _needed("reason_key", _text()),
    _needed("reason_ciphertext", sa.LargeBinary),
    _needed("created", _instant()),
    schema=IDENTITY,
)

# What became of hospital numbers after enrolment: `action` is added, removed or merged.
mrn_change = sa.Table(
    "mrn_change",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column(
        "subject",
        _text(),
        sa.ForeignKey(subject_identity.c.subject, name="mrn_change_subject"),
        nullable=False,
    ),
    _needed("authority", _text()),
    _needed("mrn_hmac", sa.LargeBinary),
    _needed("action", _text()),
    _needed("caller", _text()),
    _needed("changed", _instant()),
    schema=IDENTITY,
)
sa.Index("mrn_change_of_subject", mrn_change.c.subject)
