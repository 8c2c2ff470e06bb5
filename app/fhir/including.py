"""What a page brings beside its matches: what they refer to, and what refers to them.
https://hl7.org/fhir/R4/search.html#include

Simple includes are part of the page's own statement. Those that are followed further are fetched
in rounds: what the resources of one round refer to (and what refers to them) is the next, until
nothing new comes or a bound bites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.fhir.canonicals import EXACTLY, NEWEST, select_forms
from app.fhir.conditions import Binder, every
from app.fhir.layout import Home, Layout, TypeLayout
from app.fhir.literals import only_target
from app.fhir.parameters import targets_of
from app.fhir.request import Include

MAX_INCLUDED = 1000
"""The most resources that one page includes."""
MAX_ROUNDS = 8
"""How far `:iterate` goes."""
FEW_TARGETS = 12
"""Included types that go into the page's own statement."""

Restrict = Callable[[Binder, TypeLayout], list[str]]
"""What a caller's restriction asks of rows of a type."""

Key = tuple[str, str]
"""(resource type, id)"""


@dataclass(frozen=True, slots=True)
class Node:
    """A resource of the bundle, as far as including needs it."""

    resource_type: str
    id: str
    tokens: Sequence[str] = field(repr=False, default=())
    patient: str | None = field(repr=False, default=None)


def targets_of_include(layout: Layout, include: Include) -> list[str]:
    """The types that an include of one parameter may bring."""
    targets = targets_of(layout, layout[include.source].homes[include.code])
    return [target for target in targets if include.target in (None, target)]


def include_on_page(
    bind: Binder,
    source: TypeLayout,
    code: str,
    place: TypeLayout,
    restricted: Sequence[str],
    count: int,
) -> str:
    """A SELECT of the resources of one type to which rows of the CTE `page` refer by `code`."""
    home, target = source.homes[code], place.resource_type
    where = list(restricted)
    on_page = f"p.place <= {count}"
    if home.on_patient and target == "Patient":
        ids = f"SELECT p.patient FROM page p WHERE {on_page}"
    else:
        prefix = bind(f"{code}={target}/")
        ids = (
            f"SELECT substr(t, length({prefix}::text) + 1) FROM page p, unnest(p.tokens) t"
            f" WHERE {on_page} AND starts_with(t, {prefix}::text)"
        )
    where.append(f"r.id IN ({ids})")
    if target == source.resource_type:
        where.append(f"r.id NOT IN (SELECT p.id FROM page p WHERE {on_page})")
    return (
        f"SELECT 'include' AS mode, '{target}' AS resource_type, r.id, r.body,"
        " NULL::text[], NULL::text, NULL::text[], NULL::text, 0"
        f" FROM fhir.{place.table} r WHERE {every(where)}"
    )


# ---- rounds


def references_wanted(
    layout: Layout, nodes: Iterable[Node], includes: Sequence[Include]
) -> dict[str, set[str]]:
    """By type, the ids to which the nodes refer by parameters that the includes name."""
    wanted: dict[str, set[str]] = {}
    for node in nodes:
        for include in includes:
            if include.source in ("*", node.resource_type):
                for target, id in _references(layout[node.resource_type], node, include):
                    if target in layout:
                        wanted.setdefault(target, set()).add(id)
    return wanted


def _references(place: TypeLayout, node: Node, include: Include) -> Iterator[Key]:
    for home in _homes(place, include.code):
        if home.holds_canonicals:
            continue
        code, only = home.parameter.code, include.target or only_target(home)
        if home.on_patient and node.patient and only in (None, "Patient"):
            yield "Patient", node.patient
        start = f"{code}="
        for entry in node.tokens:
            if entry.startswith(start):
                target, slash, id = entry[len(start) :].partition("/")
                if slash and "/" not in id and only in (None, target):
                    yield target, id


def _homes(place: TypeLayout, code: str) -> list[Home]:
    """The parameters that an include names; those of canonicals are followed in another way."""
    homes = place.homes.values() if code == "*" else [place.homes[code]]
    return [home for home in homes if home.parameter.type == "reference"]


def _forms_wanted(
    layout: Layout, nodes: Iterable[Node], includes: Sequence[Include]
) -> dict[str, set[str]]:
    """By type, the forms in which the nodes name resources by canonicals that the includes name."""
    wanted: dict[str, set[str]] = {}
    for node in nodes:
        place = layout[node.resource_type]
        for include in includes:
            if include.source in ("*", node.resource_type):
                for home in filter(_is_canonical, _homes(place, include.code)):
                    forms = _forms_of(node, home.parameter.code)
                    for target in targets_of(layout, home):
                        if forms and include.target in (None, target):
                            wanted.setdefault(target, set()).update(forms)
    return wanted


def _is_canonical(home: Home) -> bool:
    return home.holds_canonicals


def _forms_of(node: Node, code: str) -> list[str]:
    starts = (f"{code}{EXACTLY}", f"{code}{NEWEST}")
    return [entry[len(code) :] for entry in node.tokens if entry.startswith(starts)]


def select_meant(
    layout: Layout,
    bind: Binder,
    nodes: Sequence[Node],
    includes: Sequence[Include],
    restricted: Restrict,
) -> list[str]:
    """A SELECT per type of the resources that the nodes' canonical references mean."""
    selects = []
    for name, forms in sorted(_forms_wanted(layout, nodes, includes).items()):
        place = layout[name]
        where = restricted(bind, place)
        meant = select_forms(place, where)
        named = f"n.form = ANY({bind(sorted(forms))}::text[])"
        ids = f"r.id IN (SELECT n.id FROM ({meant}) n WHERE {named})"
        selects.append(_select(place, [ids, *where]))
    return selects


def select_by_ids(
    layout: Layout,
    bind: Binder,
    wanted: Mapping[str, set[str]],
    restricted: Restrict,
) -> list[str]:
    """A SELECT per type of the resources with these ids."""
    return [
        _select(place, [f"r.id = ANY({bind(sorted(ids))}::text[])", *restricted(bind, place)])
        for name, ids in sorted(wanted.items())
        if ids and (place := layout[name])
    ]


def select_referring(
    layout: Layout,
    bind: Binder,
    nodes: Sequence[Node],
    includes: Sequence[Include],
    restricted: Restrict,
) -> list[str]:
    """A SELECT per type of the resources that refer to the nodes by parameters that are named."""
    by_type: dict[str, list[str]] = {}
    for node in nodes:
        by_type.setdefault(node.resource_type, []).append(node.id)
    ways: dict[str, list[str]] = {}
    for include in includes:
        for source in layout if include.source == "*" else (include.source,):
            ways.setdefault(source, []).extend(
                _ways_back(layout, layout[source], include, by_type, bind, restricted)
            )
    return [
        _select(layout[source], [f"({' OR '.join(held)})", *restricted(bind, layout[source])])
        for source, held in ways.items()
        if held
    ]


def _ways_back(
    layout: Layout,
    place: TypeLayout,
    include: Include,
    by_type: Mapping[str, list[str]],
    bind: Binder,
    restricted: Restrict,
) -> list[str]:
    ways: list[str] = []
    entries: list[str] = []
    for home in _homes(place, include.code):
        code, targets = home.parameter.code, targets_of(layout, home)
        for name, ids in by_type.items():
            if include.target not in (None, name) or name not in targets:
                continue
            if home.holds_canonicals:
                forms = select_forms(layout[name], restricted(bind, layout[name]))
                named = f"SELECT '{code}' || n.form FROM ({forms}) n"
                ways.append(f"r.tokens && ARRAY({named} WHERE n.id = ANY({bind(ids)}::text[]))")
            elif home.on_patient and name == "Patient":
                ways.append(f"r.patient = ANY({bind(ids)}::text[])")
            else:
                entries += [f"{code}={name}/{id}" for id in ids]
    if entries:
        ways.append(f"r.tokens && {bind(entries)}::text[]")
    return ways


def _select(place: TypeLayout, where: Sequence[str]) -> str:
    patient = "r.patient" if place.has_patient else "NULL::text"
    return (
        f"(SELECT '{place.resource_type}'::text AS resource_type, r.id, r.body, r.tokens,"
        f" {patient} AS patient FROM fhir.{place.table} r WHERE {every(where)}"
        f" ORDER BY r.id LIMIT {MAX_INCLUDED + 1})"
    )
