"""JSON Patch and JSON merge patch, after the examples of their standards.
https://www.rfc-editor.org/rfc/rfc6902#appendix-A · https://www.rfc-editor.org/rfc/rfc7396#appendix-A
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.errors import SsciError
from app.fhir.codec import dump_json, parse_json
from app.fhir.json_patch import merge, parse_json_patch


def apply(document: str, *steps: dict[str, Any]) -> Any:
    return parse_json_patch(list(steps))(parse_json(document.encode()))


@pytest.mark.parametrize(
    ("before", "step", "after"),
    [
        ('{"foo":"bar"}', {"op": "add", "path": "/baz", "value": "q"}, '{"foo":"bar","baz":"q"}'),
        ('{"a":["x","z"]}', {"op": "add", "path": "/a/1", "value": "y"}, '{"a":["x","y","z"]}'),
        ('{"a":["x"]}', {"op": "add", "path": "/a/-", "value": ["y"]}, '{"a":["x",["y"]]}'),
        ('{"a":1,"b":2}', {"op": "remove", "path": "/a"}, '{"b":2}'),
        ('{"a":["x","y","z"]}', {"op": "remove", "path": "/a/1"}, '{"a":["x","z"]}'),
        ('{"a":1.50}', {"op": "replace", "path": "/a", "value": 2}, '{"a":2}'),
        (
            '{"a":{"b":1},"c":{}}',
            {"op": "move", "from": "/a/b", "path": "/c/d"},
            '{"a":{},"c":{"d":1}}',
        ),
        ('{"a":[1,2,3]}', {"op": "move", "from": "/a/0", "path": "/a/2"}, '{"a":[2,3,1]}'),
        ('{"a":{"b":8.60}}', {"op": "copy", "from": "/a", "path": "/c"}, None),
        ('{"/":9,"~1":10}', {"op": "test", "path": "/~01", "value": 10}, '{"/":9,"~1":10}'),
        ('{"a":{"x":1,"y":2}}', {"op": "test", "path": "/a", "value": {"y": 2, "x": 1}}, None),
        ('{"":1}', {"op": "replace", "path": "/", "value": 2}, '{"":2}'),
        ('{"a":1}', {"op": "add", "path": "", "value": {"b": 1}}, '{"b":1}'),
    ],
)
def test_a_step_does_what_its_standard_says(
    before: str, step: dict[str, Any], after: str | None
) -> None:
    if step["op"] == "copy":
        after = '{"a":{"b":8.60},"c":{"b":8.60}}'
    assert dump_json(apply(before, step)).decode() == (after or before)


@pytest.mark.parametrize(
    ("step", "status"),
    [
        ({"op": "test", "path": "/a", "value": 2}, 422),
        ({"op": "test", "path": "/a", "value": "1"}, 422),
        ({"op": "remove", "path": "/x"}, 422),
        ({"op": "replace", "path": "/x", "value": 1}, 422),
        ({"op": "add", "path": "/x/y", "value": 1}, 422),
        ({"op": "add", "path": "/a/y", "value": 1}, 422),
        ({"op": "add", "path": "/b/9", "value": 1}, 422),
        ({"op": "add", "path": "/b/01", "value": 1}, 422),
        ({"op": "remove", "path": "/b/-"}, 422),
        ({"op": "add", "path": "/b/-1", "value": 1}, 422),
        ({"op": "add", "path": "x", "value": 1}, 400),
        ({"op": "add", "path": "/~2", "value": 1}, 400),
        ({"op": "add", "path": "/x"}, 400),
        ({"op": "move", "path": "/b/0", "from": "/b"}, 400),
        ({"op": "copy", "path": "/b"}, 400),
        ({"path": "/a"}, 400),
        (7, 400),
    ],
)
def test_a_step_that_can_not_be_done_is_refused(step: Any, status: int) -> None:
    with pytest.raises(SsciError) as refused:
        apply('{"a":1,"b":[0]}', step)
    assert refused.value.http_status == status
    assert (refused.value.issues[0].expression or "").startswith("patch[0]")


def test_the_resource_given_stays_as_it_is_and_steps_share_nothing() -> None:
    before = parse_json(b'{"a":{"b":[1]}}')
    patched = parse_json_patch(
        [
            {"op": "copy", "from": "/a", "path": "/c"},
            {"op": "add", "path": "/c/b/-", "value": 2},
        ]
    )(before)
    assert orjson.loads(dump_json(patched)) == {"a": {"b": [1]}, "c": {"b": [1, 2]}}
    assert before == {"a": {"b": [1]}}


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_does_what_its_standard_says(target: Any, patch: Any, merged: Any) -> None:
    assert merge(target, patch) == merged
