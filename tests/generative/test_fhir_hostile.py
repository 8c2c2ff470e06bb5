"""Whatever comes instead of FHIR is read into facts or one failure; nothing raises."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.feed_support import HIS, LIS, map_bytes
from tests.fhir_feed_support import (
    administration,
    bundle,
    condition,
    encounter,
    observation,
    patient,
    prescription,
    report,
)

EVERYTHING = bundle(
    patient(name=[{"family": "测试", "given": ["一"]}], gender="female", birthDate="1979-05-04"),
    observation(component=[{"code": {"text": "x"}, "valueString": "1"}]),
    report(),
    administration(),
    prescription(),
    encounter(),
    condition(),
)
ODD = st.sampled_from([None, True, 0, -1, 1.5, "", "x", "2019-13-99", [], {}, [[]], [None], [{}]])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything within a JSON value."""
    items = enumerate(value) if isinstance(value, list) else ()
    items = value.items() if isinstance(value, dict) else items
    found = [path] if path else []
    for key, child in items:
        found += places(child, (*path, key))
    return found


TREE = json.loads(EVERYTHING)
PLACES = places(TREE)


def changed(path: tuple[Any, ...], value: Any) -> bytes:
    tree = copy.deepcopy(TREE)
    node = tree
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return json.dumps(tree, ensure_ascii=False).encode()


def test_a_bundle_cut_off_anywhere_is_one_failure():
    for end in range(len(EVERYTHING)):
        (fact,) = map_bytes(EVERYTHING[:end], LIS, format="fhir")
        assert fact.reason is not None


@settings(max_examples=300, deadline=None)
@given(path=st.sampled_from(PLACES), value=ODD, feed=st.sampled_from([LIS, HIS]))
def test_any_element_may_be_of_any_type(path, value, feed):
    facts = map_bytes(changed(path, value), feed, format="fhir")
    assert facts
    assert [fact.ordinal for fact in facts] == list(range(len(facts)))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_byte_may_be_another(data):
    place = data.draw(st.integers(0, len(EVERYTHING) - 1))
    byte = data.draw(st.integers(0, 255))
    assert map_bytes(
        EVERYTHING[:place] + bytes([byte]) + EVERYTHING[place + 1 :], HIS, format="fhir"
    )
