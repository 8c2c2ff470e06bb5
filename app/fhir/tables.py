"""The tables of the FHIR store, described from the layout: one per resource type, its history,
and the narrow tables of hot tokens. https://hl7.org/fhir/R4/http.html#versioning

`fhir.<type>`          the current versions; one row per resource
`fhir.<type>_history`  superseded versions and tombstones, with the same search columns; append-only
`fhir.<type>_hot`      (code, systems, patient, date, id) of a dense token in date order

A missing date is the empty interval (from = MISSING_FROM, to = MISSING_TO): it matches no
comparison and sorts last in both directions.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.types import UserDefinedType

from app.fhir.layout import Layout, TypeLayout

SCHEMA = "fhir"
MISSING_FROM = datetime.max.replace(tzinfo=UTC)
MISSING_TO = datetime.min.replace(tzinfo=UTC)
_MISSING_TO_TEXT = f"'{MISSING_TO.isoformat()}'"
LEADING_DATE = "date"
"""The parameter by which a patient's rows are listed, newest first, where a type has it."""


class Xid8(UserDefinedType[int]):
    """A 64-bit transaction id, comparable with pg_snapshot."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


def _text() -> sa.Text:
    return sa.Text(collation="C")


def _instant() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def build_tables(layout: Layout) -> sa.MetaData:
    """All tables of the store as SQLAlchemy metadata (used to make and to check migrations)."""
    metadata = sa.MetaData(schema=SCHEMA)
    for place in layout.values():
        _current(metadata, place)
        _history(metadata, place)
        if place.hot:
            _hot(metadata, place)
    return metadata


def search_columns(place: TypeLayout) -> list[str]:
    """The names of the columns that hold search values, in the order of the table."""
    return [column.name for column in _search_columns(place)]


def _row_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("last_updated", _instant(), nullable=False),
        sa.Column("xid", Xid8(), nullable=False, server_default=sa.text("pg_current_xact_id()")),
        sa.Column("method", _text(), nullable=False),
        sa.Column("created", sa.Boolean, nullable=False),
    ]


def _search_columns(place: TypeLayout) -> list[sa.Column[object]]:
    columns: list[sa.Column[object]] = []
    if place.has_patient:
        columns.append(sa.Column("patient", _text()))
    columns.append(sa.Column("tokens", ARRAY(_text()), nullable=False))
    columns.append(sa.Column("strings", ARRAY(_text()), nullable=False))
    for home in place.intervals():
        columns.append(sa.Column(f"{home.column}_from", _instant(), nullable=False))
        columns.append(sa.Column(f"{home.column}_to", _instant(), nullable=False))
        if home.many:
            columns.append(sa.Column(f"{home.column}_froms", ARRAY(_instant())))
            columns.append(sa.Column(f"{home.column}_tos", ARRAY(_instant())))
    for home in place.amounts():
        columns.append(sa.Column(f"{home.column}_min", sa.Numeric))
        columns.append(sa.Column(f"{home.column}_max", sa.Numeric))
        columns.append(sa.Column(f"{home.column}_canonical_min", sa.Numeric))
        columns.append(sa.Column(f"{home.column}_canonical_max", sa.Numeric))
        columns.append(sa.Column(f"{home.column}_units", ARRAY(_text())))
        columns.append(sa.Column(f"{home.column}_lows", ARRAY(sa.Numeric)))
        columns.append(sa.Column(f"{home.column}_highs", ARRAY(sa.Numeric)))
    for home in place.composites():
        if home.measured:
            columns.append(sa.Column(f"{home.column}_codes", ARRAY(_text())))
            columns.append(sa.Column(f"{home.column}_units", ARRAY(_text())))
            columns.append(sa.Column(f"{home.column}_lows", ARRAY(sa.Numeric)))
            columns.append(sa.Column(f"{home.column}_highs", ARRAY(sa.Numeric)))
    return columns


def _current(metadata: sa.MetaData, place: TypeLayout) -> None:
    table = sa.Table(
        place.table,
        metadata,
        sa.Column("id", _text(), primary_key=True),
        *_row_columns(),
        sa.Column("body", JSON, nullable=False),
        *_search_columns(place),
    )
    name, c = place.table, table.c
    sa.Index(f"{name}_last_updated", c.last_updated, c.id)
    sa.Index(f"{name}_tokens", c.tokens, postgresql_using="gin")
    sa.Index(
        f"{name}_strings",
        sa.func.array_to_tsvector(c.strings),
        postgresql_using="gin",
        postgresql_where=c.strings != sa.text("'{}'"),
    )
    if place.has_patient:
        _patient_index(place, table)
    for home in place.intervals():
        start, end = c[f"{home.column}_from"], c[f"{home.column}_to"]
        present = start < sa.text(f"'{MISSING_FROM.isoformat()}'")
        sa.Index(f"{name}_{home.column}_from", start, end, c.id, postgresql_where=present)
        ended = None if home.column == LEADING_DATE else end > sa.text(_MISSING_TO_TEXT)
        sa.Index(f"{name}_{home.column}_to", end.desc(), c.id.desc(), postgresql_where=ended)
    for home in place.amounts():
        for bound in ("min", "max", "canonical_min", "canonical_max"):
            column = c[f"{home.column}_{bound}"]
            sa.Index(f"{name}_{home.column}_{bound}", column, postgresql_where=column.is_not(None))


def _patient_index(place: TypeLayout, table: sa.Table) -> None:
    """A patient's rows, newest first where the type has a leading date."""
    c = table.c
    dated = f"{LEADING_DATE}_to" in c
    ordered = [c[f"{LEADING_DATE}_to"].desc(), c.id.desc()] if dated else [c.id]
    sa.Index(f"{place.table}_patient", c.patient, *ordered, postgresql_where=c.patient.is_not(None))


def _history(metadata: sa.MetaData, place: TypeLayout) -> None:
    name = f"{place.table}_history"
    search = [
        sa.Column(column.name, column.type) for column in _search_columns(place)
    ]  # a tombstone has none of them
    table = sa.Table(
        name,
        metadata,
        sa.Column("id", _text(), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("last_updated", _instant(), nullable=False),
        sa.Column("xid", Xid8(), nullable=False),
        sa.Column("method", _text(), nullable=False),
        sa.Column("created", sa.Boolean, nullable=False),
        sa.Column("superseded_xid", Xid8()),
        sa.Column("deleted", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("body", JSON),
        *search,
    )
    c = table.c
    sa.Index(f"{name}_last_updated", c.last_updated, c.id)
    sa.Index(f"{name}_superseded", c.superseded_xid, postgresql_where=c.superseded_xid.is_not(None))


def _hot(metadata: sa.MetaData, place: TypeLayout) -> None:
    name = f"{place.table}_hot"
    table = sa.Table(
        name,
        metadata,
        sa.Column("id", _text(), primary_key=True),
        sa.Column("code", _text(), primary_key=True),
        sa.Column("systems", ARRAY(_text()), nullable=False),
        sa.Column("patient", _text()),
        sa.Column("date_from", _instant(), nullable=False),
        sa.Column("date_to", _instant(), nullable=False),
    )
    c = table.c
    sa.Index(f"{name}_code", c.code, c.date_to.desc(), c.id.desc(), c.date_from)
    sa.Index(
        f"{name}_patient_code",
        c.patient,
        c.code,
        c.date_to.desc(),
        c.id.desc(),
        postgresql_where=c.patient.is_not(None),
    )
