"""Patches: a request body becomes a function from the stored resource to the one to store.
https://hl7.org/fhir/R4/http.html#patch

Three languages: JSON Patch, JSON merge patch, and FHIRPath Patch in a Parameters resource.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from typing import Any

from app.errors import Category, SsciError, error
from app.fhir import media
from app.fhir.codec import parse_json
from app.fhir.fhirpath_patch import parse_fhirpath_patch
from app.fhir.json_patch import merge, parse_json_patch
from app.fhir.model import Json
from app.fhir.registry import Registry

Patch = Callable[[Json], Json]
"""Gives a new resource; the one it is given stays as it is. SsciError (422) if it can't."""

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
PATCH_FORMATS = (JSON_PATCH, MERGE_PATCH, "application/fhir+json", "application/fhir+xml")


def parse_patch(content_type: str, body: bytes | Json, registry: Registry) -> Patch:
    """The patch in a body of one of PATCH_FORMATS (415 for another; 400 if it is malformed)."""
    name = media.parse_media_type(content_type).name
    if isinstance(body, bytes) and name == JSON_PATCH:
        return _guarded(parse_json_patch(_parse_value(body)))
    if isinstance(body, bytes) and name == MERGE_PATCH:
        document = parse_json(body)
        return _guarded(lambda resource: merge(resource, document))
    if isinstance(body, bytes):
        if name not in media.FORMATS:
            raise _unsupported()
        body = media.parse_body(content_type, body, registry)
        if name in media.GENERIC and "resourceType" not in body:
            raise _unsupported(
                f": {name} does not say which; a part of a resource is {MERGE_PATCH}"
            )
    return _guarded(parse_fhirpath_patch(body, registry))


def _parse_value(body: bytes) -> Any:
    """Any JSON value, by the codec that takes objects only."""
    return parse_json(b'{"patch":%b}' % body.removeprefix(codecs.BOM_UTF8)).get("patch")


def _unsupported(hint: str = "") -> SsciError:
    return error(
        Category.UNSUPPORTED,
        f"a patch is one of {', '.join(PATCH_FORMATS)}{hint}",
        expression="http.Content-Type",
        code="not-supported",
        status=415,
        headers={"Accept-Patch": ", ".join(PATCH_FORMATS)},
    )


def _guarded(patch: Callable[[Json], Any]) -> Patch:
    """The patch, refused where it changes what the server alone decides."""

    def patched(before: Json) -> Json:
        after = patch(before)
        if not isinstance(after, dict):
            raise _refused("the patch leaves no resource", None)
        for name in ("resourceType", "id"):
            if after.get(name) != before.get(name):
                raise _refused(f"a patch can't change {name}", f"{before['resourceType']}.{name}")
        _check_meta(before, after)
        return after

    return patched


def _check_meta(before: Json, after: Json) -> None:
    held: Mapping[str, Any] = before.get("meta") or {}
    meta = after.get("meta")
    for name in ("versionId", "lastUpdated"):
        if isinstance(meta, dict) and name in meta and meta[name] != held.get(name):
            place = f"{before['resourceType']}.meta.{name}"
            raise _refused(f"a patch can't change meta.{name}: the server sets it", place)


def _refused(text: str, place: str | None) -> SsciError:
    return error(Category.UNPROCESSABLE, text, expression=place)
