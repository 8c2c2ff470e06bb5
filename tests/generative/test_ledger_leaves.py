"""Every leaf of any FHIR document and of any case report form stands once in its ledger, on its own
bytes, whatever became of it. https://www.rfc-editor.org/rfc/rfc6901"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.mappings.crf.forms import forms
from app.mappings.formats.json.leaves import walk_leaves
from app.mappings.frame import Span
from app.mappings.ledger.entries import BUILT_IN
from tests.crf_support import CRF, CSV, JSON, record
from tests.feed_support import LIS, site
from tests.fhir_feed_support import (
    administration,
    condition,
    encounter,
    observation,
    patient,
    prescription,
    report,
)
from tests.ledger_support import assert_each_once, json_leaves, leaves_of

NAMES = st.sampled_from(
    [
        *("status", "code", "coding", "system", "display", "text", "extension", "identifier"),
        *("value", "valueQuantity", "component", "contained", "subject", "reference", "meta"),
        *("name", "_status"),
    ]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-9999, 9999), st.sampled_from(("", "x", '"\\/', "溶血珅"))
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(NAMES, below, max_size=4)),
    max_leaves=12,
)
RESOURCES = st.sampled_from(
    [patient(), observation(), report(), administration(), prescription(), encounter(),
     condition(), {"resourceType": "Specimen", "id": "S"}, {"resourceType": "Basic", "id": "B"}]
)  # fmt: skip


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    """A resource with some elements replaced or added, sound or not."""
    found = dict(draw(RESOURCES))
    for name in draw(st.lists(NAMES, max_size=3, unique=True)):
        found[name] = draw(VALUES)
    return found


@st.composite
def bundles(draw: st.DrawFn) -> bytes:
    entries = [
        {"fullUrl": f"urn:{n}", "resource": each}
        | draw(st.sampled_from(({}, {"search": {"m": 1}})))
        for n, each in enumerate(draw(st.lists(resources(), min_size=1, max_size=4)))
    ]
    kind = draw(st.sampled_from(("collection", "searchset", "message", "history")))
    told = {"resourceType": "Bundle", "type": kind, "meta": draw(VALUES), "entry": entries}
    indent = draw(st.sampled_from((None, 1)))
    return json.dumps(told, default=str, ensure_ascii=draw(st.booleans()), indent=indent).encode()


@settings(deadline=None, max_examples=300)
@given(data=bundles(), known=st.booleans())
def test_every_leaf_of_a_generated_bundle_stands_once_in_the_ledger(
    data: bytes, known: bool
) -> None:
    leaves = leaves_of(data, "fhir", known=known)
    assert_each_once(data, leaves)
    rules = {*BUILT_IN, *site().feeds[LIS].ledger.texts}
    for each in leaves:
        assert (each.verdict.rule in rules) == (each.verdict.kind != "unexplained")
        assert bool(each.verdict.target) == (each.verdict.kind in ("mapped", "carried"))


FIELDS = st.sampled_from(
    sorted({each.name for form in forms().values() for each in form.all_fields})
)
RECORDS = st.builds(
    lambda form, changes: record(form, **changes),
    st.sampled_from(list(forms())),
    st.dictionaries(
        FIELDS.filter(lambda name: name != "form"),
        st.one_of(
            SCALARS,
            st.lists(st.sampled_from(("skin", "", "x")), max_size=3),
            st.dictionaries(st.sampled_from(("arthritis", "fever")), st.integers(0, 9)),
        ),
        max_size=3,
    ),
)


@settings(deadline=None, max_examples=200)
@given(records=st.lists(RECORDS, min_size=1, max_size=4), known=st.booleans())
def test_every_leaf_of_generated_records_stands_once_in_the_ledger(
    records: list[dict[str, Any]], known: bool
) -> None:
    data = json.dumps({"records": records}, ensure_ascii=False).encode()
    leaves = leaves_of(data, JSON, CRF, known=known)
    assert_each_once(data, leaves)
    assert all(each.verdict.kind != "unexplained" for each in leaves)


CELLS = st.sampled_from(("", " ", "x", "1", "yes", 'a "b" c', "skin|oral", "血", "a,b", "a\nb"))


@settings(deadline=None, max_examples=200)
@given(
    columns=st.lists(FIELDS, min_size=1, max_size=5, unique=True),
    data=st.data(),
    charset=st.sampled_from(("utf-8", "utf-8-sig", "gb18030", "utf-16")),
    known=st.booleans(),
)
def test_every_cell_of_a_generated_table_stands_once_in_the_ledger(
    columns: list[str], data: st.DataObject, charset: str, known: bool
) -> None:
    names = list(dict.fromkeys(("form", "subject", "record", "recorded", *columns)))
    rows = data.draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)),
                              min_size=1, max_size=4))  # fmt: skip
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in rows]
    told = "".join(",".join(row) + "\r\n" for row in (names, *quoted)).encode(charset)
    leaves = leaves_of(told, CSV, CRF, known=known)
    codec = "utf-16-le" if charset == "utf-16" else charset
    found = []
    for each in leaves:
        assert each.span is not None
        found.append(told[each.span.start : each.span.end].decode(codec))
    wanted = [cell for row in (names, *quoted) for cell in row if cell.strip('" ')]
    assert found == wanted
    assert len({each.path for each in leaves}) == len(leaves)


@settings(deadline=None, max_examples=300)
@given(value=VALUES, indent=st.sampled_from((None, 2)))
def test_the_walk_finds_every_value_of_any_json(value: Any, indent: int | None) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    found = [
        ("".join(f"/{step}" for step in steps), json.loads(data[span.start : span.end]))
        for steps, span in walk_leaves(data, Span(0, len(data)))
    ]
    assert found == list(json_leaves(value))


@settings(deadline=None, max_examples=200)
@given(noise=st.binary(max_size=60), pieces=st.lists(st.sampled_from('{}[],:"1a\\')))
def test_the_walk_never_raises(noise: bytes, pieces: list[str]) -> None:
    data = "".join(pieces).encode() + noise
    spans = [span for _, span in walk_leaves(data, Span(0, len(data)))]
    assert all(one.end <= other.start for one, other in pairwise(spans))
