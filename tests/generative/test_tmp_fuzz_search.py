"""Whatever the query string holds, the answer is a result or a 4xx that says why.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.database import Database
from tests.fhir_support import facts, fhir_client, store_on

_, LAYOUT = facts()
ADDRESSES = ("Observation", "Patient", "ValueSet", "", "Patient/a/Observation", "Patient/a/*")
LENIENT = {"prefer": "handling=lenient"}
"""So that what can be read of a query is carried out."""
CODES = sorted({code for place in LAYOUT.values() for code in place.homes})
RESULT = [
    "_count",
    "_sort",
    "_include",
    "_revinclude:iterate",
    "_include",
    "_total",
    "_summary",
    "_elements",
    "_cursor",
    "_type",
    "_filter",
    "_list",
    "_has:Observation:patient:code",
    "subject:Patient.name",
    "_has:Observation",
]
MODIFIERS = (
    "",
    ":not",
    ":missing",
    ":text",
    ":in",
    ":above",
    ":below",
    ":of-type",
    ":Patient",
    ".x",
)
PIECES = [
    "1e99",
    "-0",
    "1e-99|http://unitsofmeasure.org|Cel",
    "0001",
    "9999-12-31T23:59:60Z",
    "ge2019-02-30",
    "Patient/a",
    "*",
    "Observation:subject:Patient",
    "a|b|c",
    "$",
    "a$b",
    ",",
    "\\",
    "'",
    "%",
    '"',
    "{}",
    ":*",
    "&",
    "|",
    "(",
    ")",
    "血",
    "́",
    "\x00",
    "\ud7ff",
    "true",
    "0",
    "-code",
    "code",
    "eq",
    "not",
    "W10",
    "WyIxOjI6IixmYWxzZSwieCJd",
    "infinity",
    "NaN",
    "http://a/b|1",
    "_id",
]
names = st.one_of(
    st.builds(str.__add__, st.sampled_from(CODES), st.sampled_from(MODIFIERS)),
    st.sampled_from(RESULT),
    st.text(max_size=5),
)
values = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(" ".join),
    st.text(max_size=8),
)


@settings(
    max_examples=3000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    address=st.sampled_from(ADDRESSES),
    parameters=st.lists(st.tuples(names, values), min_size=1, max_size=3),
)
async def test_no_query_is_answered_with_a_500(
    database: Database, address: str, parameters: list[tuple[str, str]]
) -> None:
    pairs = [
        f"{quote(n.encode(errors='replace'))}={quote(v.encode(errors='replace'))}"
        for n, v in parameters
    ]
    async with fhir_client(store_on(database)) as client:
        response = await client.get(f"{address}?{'&'.join(pairs)}", headers=LENIENT)
    import collections; globals().setdefault("S", collections.Counter())[response.status_code] += 1
    if sum(S.values()) % 1000 == 0: print(S)
    assert response.status_code < 500, response.text + str(response.url)
    if response.status_code >= 400:
        assert response.json()["issue"][0]["diagnostics"]
