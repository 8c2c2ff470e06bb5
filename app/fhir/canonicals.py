"""Which stored resource a canonical reference means: the one of its address and version, or the
newest of its address. https://hl7.org/fhir/R4/references.html#canonical

An entry of `tokens` that holds a canonical ends in a form: `=url|version`, or `>url` where no
version is named (`>Type/id` where the reference is an address of this server). Of several resources
with one address the newest is one not retired, of these an active one, of the highest version,
stored last: as for value sets. What a caller may not see is not there: neither found nor newest.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.fhir.layout import TypeLayout

EXACTLY, NEWEST = "=", ">"
"""How a form begins: of this address and version, as written; the newest of this address."""

_VERSION = (
    "(SELECT array_agg(CASE WHEN p ~ '^[0-9]+$' THEN '1' || lpad(p, 100, '0') ELSE '0' || p END"
    " COLLATE \"C\" ORDER BY n) FROM regexp_split_to_table(left(version, 100), '[.+-]')"
    " WITH ORDINALITY q(p, n))"
)
_COLUMNS = (
    "r.id, r.last_updated, substr(u, 5) AS url, r.tokens @> ARRAY['status:active'] AS active,"
    " r.tokens @> ARRAY['status:retired'] AS retired,"
    " (SELECT substr(v, 10) FROM unnest(r.tokens) v WHERE starts_with(v, 'version=|') LIMIT 1)"
    " AS version"
)


def select_forms(place: TypeLayout, restricted: Sequence[str], past: Sequence[str] = ()) -> str:
    """A SELECT of rows (id, form): all forms that mean a resource of this type.

    `restricted` is asked of every row. `past`: what is asked of rows of the history, where it is
    read too (an earlier snapshot).
    """
    rows = _rows(place, place.table, restricted)
    if past:
        rows += f" UNION ALL {_rows(place, f'{place.table}_history', [*restricted, *past])}"
    newest = (
        "SELECT DISTINCT ON (url) id, url FROM held"
        f" ORDER BY url, retired, active DESC, {_VERSION} DESC NULLS LAST, last_updated DESC,"
        " id DESC"
    )
    return (
        f"WITH held AS ({rows})"
        f" SELECT id, '{EXACTLY}' || url || '|' || version AS form FROM held"
        " WHERE version IS NOT NULL"
        f" UNION ALL SELECT id, '{NEWEST}' || url FROM ({newest}) newest"
        f" UNION ALL SELECT id, '{NEWEST}{place.resource_type}/' || id FROM held"
    )


def _rows(place: TypeLayout, table: str, where: Sequence[str]) -> str:
    conditions = " AND ".join(["starts_with(u, 'url=')", *where])
    return f"SELECT {_COLUMNS} FROM fhir.{table} r, unnest(r.tokens) u WHERE {conditions}"
