"""`$meta`, `$meta-add` and `$meta-delete`: profiles, tags and security labels.
https://hl7.org/fhir/R4/resource-operation-meta.html

At the system and type level `$meta` tells all labels in use. Adding and deleting write a new
version, as any change of a resource does, unless nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from app.errors import Category, error
from app.fhir.codec import parse_json
from app.fhir.conditions import Binder, every
from app.fhir.exchange import Request, Response
from app.fhir.model import Caller, Json, Revise
from app.fhir.operations.answers import answer_parameters
from app.fhir.operations.parameters import missing, read_known, structure
from app.fhir.operations.record import Operation

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

MAX_LABELS = 1000
_DEFINITION = "http://hl7.org/fhir/OperationDefinition/Resource-"
_CODED = ("security", "tag")
_ELEMENTS = frozenset({"id", "extension", "versionId", "lastUpdated", "source", "profile", *_CODED})

Combine = Callable[[Json, Json], Json]


async def tell_meta(app: FhirApp, request: Request) -> Response:
    """The meta of a resource (or of one of its versions), or the labels in use."""
    read_known(request, ())
    place = request.path[:-1]
    if len(place) < 2:
        return _answer(await _labels_in_use(app, request.caller, place))
    return _answer((await _read(app, request.caller, place)).get("meta", {}))


async def add_meta(app: FhirApp, request: Request) -> Response:
    return await _revise(app, request, add_labels)


async def delete_meta(app: FhirApp, request: Request) -> Response:
    return await _revise(app, request, remove_labels)


def add_labels(meta: Json, added: Json) -> Json:
    """`meta` with the labels of `added` that it does not have yet."""
    profiles = meta.get("profile", [])
    changed = {"profile": [*profiles, *(p for p in added.get("profile", ()) if p not in profiles)]}
    for name in _CODED:
        held = meta.get(name, [])
        known = {_coding_key(each) for each in held}
        news = [each for each in added.get(name, ()) if _coding_key(each) not in known]
        changed[name] = [*held, *news]
    return _with(meta, changed)


def remove_labels(meta: Json, removed: Json) -> Json:
    """`meta` without the labels of `removed`; those it does not have are no error."""
    gone = removed.get("profile", ())
    changed = {"profile": [each for each in meta.get("profile", ()) if each not in gone]}
    for name in _CODED:
        keys = {_coding_key(each) for each in removed.get(name, ())}
        changed[name] = [e for e in meta.get(name, ()) if _coding_key(e) not in keys]
    return _with(meta, changed)


def _with(meta: Json, changed: Json) -> Json:
    return {name: value for name, value in (meta | changed).items() if value}


def _coding_key(coding: Json) -> tuple[Any, Any]:
    return coding.get("system"), coding.get("code")


async def _revise(app: FhirApp, request: Request, combine: Combine) -> Response:
    given = structure(read_known(request, ("meta",)), "meta")
    if given is None:
        raise missing("meta")
    _check_meta(given)
    resource_type, id = request.path[:2]
    if len(request.path) > 3:
        raise error(Category.UNSUPPORTED, "superseded versions do not change", status=405)
    await _read(app, request.caller, request.path[:2])
    revise = Revise(resource_type, id, lambda stored: _revised(stored, given, combine))
    (change,) = await app.store.write(request.caller, [revise])
    return _answer((change.after or {}).get("meta", {}))


def _revised(stored: Json | None, given: Json, combine: Combine) -> Json:
    if stored is None:
        raise error(Category.NOT_FOUND, "the resource is not known")
    return stored | {"meta": combine(stored.get("meta", {}), given)}


def _check_meta(meta: Json) -> None:
    """The forms that combining relies on; the rest is checked where the resource is stored."""
    if unknown := sorted(meta.keys() - _ELEMENTS):
        text = f"a Meta has no element '{unknown[0][:64]}'"
        raise error(Category.INCORRECT, text, expression="Meta", code="structure")
    for name in ("profile", *_CODED):
        held = meta.get(name, [])
        kind = str if name == "profile" else dict
        if not isinstance(held, list) or not all(isinstance(each, kind) for each in held):
            raise error(
                Category.INCORRECT,
                "must be a list of " + ("canonicals" if kind is str else "Codings"),
                expression=f"Meta.{name}",
                code="structure",
            )
        for each in held if kind is dict else ():
            _check_coding(each, f"Meta.{name}")


def _check_coding(coding: Json, place: str) -> None:
    if not all(isinstance(coding.get(name, ""), str) for name in ("system", "code")):
        text = "system and code must be text"
        raise error(Category.INCORRECT, text, expression=place, code="structure")


async def _read(app: FhirApp, caller: Caller, path: Sequence[str]) -> Json:
    """The resource at `[type]/[id]` or `[type]/[id]/_history/[version]`."""
    resource_type, id, *rest = path
    if not rest:
        stored = await app.store.read(caller, resource_type, id)
    elif rest[-1].isascii() and rest[-1].isdigit() and len(rest[-1]) < 10:
        stored = await app.store.read_version(caller, resource_type, id, int(rest[-1]))
    else:
        stored = None
    if stored is None:
        raise error(Category.NOT_FOUND, f"{'/'.join(path)[:200]} is not known")
    if stored.body is None:
        raise error(
            Category.NOT_FOUND, f"{resource_type}/{id} was deleted", code="deleted", status=410
        )
    return parse_json(stored.body)


async def _labels_in_use(app: FhirApp, caller: Caller, place: Sequence[str]) -> Json:
    """The distinct labels of all resources (of the type, if the path names one)."""
    bind = Binder()
    prefixes = [bind(f"{code}=") for code in _PARAMETERS]
    is_label = " OR ".join(f"starts_with(t, {prefix}::text)" for prefix in prefixes)
    selects = []
    for resource_type in place or app.layout:
        home = app.layout[resource_type]
        allowed = app.store.compiler.restricted(bind, home, caller.restriction)
        where = every([f"({is_label})", *allowed])
        selects.append(
            f"SELECT DISTINCT t FROM fhir.{home.table} r, unnest(r.tokens) t WHERE {where}"
        )
    # UNION, not UNION ALL: each label once
    sql = f"SELECT t FROM ({' UNION '.join(selects)}) labels ORDER BY t LIMIT {MAX_LABELS}"
    async with app.store.searching() as connection:
        rows = await connection.fetch(sql, *bind.values)
    return build_labels(row["t"] for row in rows)


_PARAMETERS = {"_profile": "profile", "_security": "security", "_tag": "tag"}


def build_labels(entries: Iterable[str]) -> Json:
    """A Meta from search entries: `_profile=url`, `_tag=system|code`."""
    meta: Json = {}
    for entry in entries:
        parameter, _, value = entry.partition("=")
        name = _PARAMETERS[parameter]
        meta.setdefault(name, []).append(value if name == "profile" else _coding(value))
    return meta


def _coding(text: str) -> Json:
    system, _, code = text.rpartition("|")
    return {"system": system, "code": code} if system else {"code": code}


def _answer(meta: Json) -> Response:
    return answer_parameters([{"name": "return", "valueMeta": meta}] if meta else [])


_ANY: frozenset[str] = frozenset()

OPERATIONS = (
    Operation(
        "meta",
        _ANY,
        frozenset({"system", "type", "instance"}),
        tell_meta,
        affects_state=False,
        definition=f"{_DEFINITION}meta",
    ),
    Operation(
        "meta-add",
        _ANY,
        frozenset({"instance"}),
        add_meta,
        affects_state=True,
        definition=f"{_DEFINITION}meta-add",
    ),
    Operation(
        "meta-delete",
        _ANY,
        frozenset({"instance"}),
        delete_meta,
        affects_state=True,
        definition=f"{_DEFINITION}meta-delete",
    ),
)
