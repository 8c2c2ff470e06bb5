"""The terminology operations: `$expand`, `$validate-code`, `$lookup`, `$subsumes`, `$translate`.
https://hl7.org/fhir/R4/terminology-service.html

Each takes the resource of its address, one given in the request, or one that is held here and named
by its canonical URL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.errors import Category, SsciError, error
from app.fhir.codec import parse_json
from app.fhir.exchange import Request, Response
from app.fhir.model import Json
from app.fhir.operations.answers import answer_parameters, answer_resource
from app.fhir.operations.codings import read_codes, read_coding
from app.fhir.operations.parameters import (
    Parameters,
    boolean,
    missing,
    read_known,
    refused,
    required_text,
    structure,
    text,
    texts,
)
from app.fhir.operations.record import Asked, Form, Level, Operation, Run
from app.fhir.terminology import (
    Coded,
    CodeSystem,
    Dependency,
    Direction,
    StoredTerminology,
    Verdict,
    View,
    Wish,
    build_expansion,
    check_any,
    check_in_code_system,
    check_in_value_set,
    expand,
    look_up,
    read_code_system,
    subsumes,
    translate,
)
from app.fhir.terminology.library import Kind, split_canonical
from app.fhir.terminology.presentation import MAX_RETURNED

if TYPE_CHECKING:
    from app.fhir.http import FhirApp

_CODES = ("code", "system", "display", "coding", "codeableConcept")
_VALUE_SET = ("url", "valueSet", "valueSetVersion")
_CODE_SYSTEM = ("url", "codeSystem", "version")
_LANGUAGE = "displayLanguage"


def terminology_for(app: FhirApp, request: Request) -> StoredTerminology:
    """What is held here, as far as the caller may see it."""
    return StoredTerminology(app.store, app.registry, request.base_url, request.caller)


# ---- value sets


async def expand_value_set(app: FhirApp, request: Request) -> Response:
    parameters = read_known(request, _OF_EXPAND, bare="valueSet")
    held = terminology_for(app, request)
    versions = _versions(parameters)
    view = _view(parameters)
    value_set = await _resource(app, request, held, parameters, "ValueSet")
    library = await held.gather([value_set], versions)
    members = expand(_without(value_set, parameters), library)
    return answer_resource(build_expansion(value_set, members, view, datetime.now(UTC)))


EXPANSION: Mapping[str, str] = {
    "url": "canonical URL, `url|version`, or ValueSet/[id]",
    "valueSet": "the value set itself",
    "valueSetVersion": "the version, where `url` names none",
    "filter": "words that occur in the code, the display or a designation",
    "offset": "concepts to leave out at the beginning",
    "count": f"concepts to show; at most {MAX_RETURNED}",
    "includeDesignations": "with the designations of each concept",
    "includeDefinition": "with the definition (compose) of the value set",
    "activeOnly": "without inactive concepts",
    "excludeNested": "expansions are flat, whatever it says",
    "excludeNotForUI": "without abstract concepts",
    "excludePostCoordinated": "expansions are without post-coordination, whatever it says",
    _LANGUAGE: "the language of the displays, where the code system has them in it",
    "exclude-system": "code systems to leave out: url or `url|version`",
    "system-version": "`system|version`, for a system of which the value set names no version",
}
"""The parameters of `$expand`, and what each does."""
_OF_EXPAND = tuple(EXPANSION)


def _view(parameters: Parameters) -> View:
    for name in ("excludeNested", "excludePostCoordinated"):
        boolean(parameters, name, True)  # expansions are flat and without post-coordination anyway
    return View(
        text=text(parameters, "filter"),
        offset=_whole(parameters, "offset") or 0,
        count=_whole(parameters, "count"),
        active_only=boolean(parameters, "activeOnly", False),
        selectable_only=boolean(parameters, "excludeNotForUI", False),
        designations=boolean(parameters, "includeDesignations", False),
        definition=boolean(parameters, "includeDefinition", False),
        language=text(parameters, _LANGUAGE),
    )


def _versions(parameters: Parameters) -> Mapping[str, str]:
    """`system-version`: `[system]|[version]` of systems for which a value set names none."""
    found = {}
    for canonical in texts(parameters, "system-version"):
        system, version = split_canonical(canonical)
        if version is None:
            raise refused("system-version", "the form is [system]|[version]")
        found[system] = version
    return found


def _without(value_set: Json, parameters: Parameters) -> Json:
    """The value set less the systems of `exclude-system`."""
    systems = [split_canonical(each) for each in texts(parameters, "exclude-system")]
    if not systems:
        return value_set
    gone = [{"system": url} | ({"version": version} if version else {}) for url, version in systems]
    inner = {key: value for key, value in value_set.items() if key != "expansion"}
    compose = inner.get("compose", {})
    includes = [each for each in compose.get("include", ()) if not _is_of(each, gone)]
    return inner | {"compose": compose | {"include": includes}}


def _is_of(include: Json, gone: Sequence[Json]) -> bool:
    return any(
        include.get("system") == each["system"]
        and each.get("version") in (None, include.get("version"))
        for each in gone
    )


async def validate_in_value_set(app: FhirApp, request: Request) -> Response:
    known = (*_VALUE_SET, *_CODES, "systemVersion", "abstract", _LANGUAGE)
    parameters = read_known(request, known, bare="valueSet")
    codes = read_codes(parameters, "systemVersion")
    held = terminology_for(app, request)
    value_set = await _resource(app, request, held, parameters, "ValueSet")
    library = await held.gather([value_set])
    check = check_in_value_set(value_set, library, _wish(parameters))
    return answer_parameters(check_any(codes, check).parameters)


# ---- code systems


async def validate_in_code_system(app: FhirApp, request: Request) -> Response:
    known = (*_CODE_SYSTEM, "system", *_CODES, "abstract", _LANGUAGE)
    parameters = read_known(request, known, bare="codeSystem")
    codes = read_codes(parameters, "version")
    held = terminology_for(app, request)
    wish = _wish(parameters)
    if _names_resource(request, parameters, "codeSystem"):
        resource = await _resource(app, request, held, parameters, "CodeSystem")
        check = check_in_code_system(read_code_system(resource), wish)
        return answer_parameters(check_any(codes, check).parameters)
    verdicts = {coded: await _in_own_system(held, coded, wish) for coded in codes}
    return answer_parameters(check_any(codes, verdicts.__getitem__).parameters)


async def _in_own_system(held: StoredTerminology, coded: Coded, wish: Wish) -> Verdict:
    """The check against the system that the code itself names."""
    if coded.system is None:
        raise missing("url")
    try:
        system = await held.code_system(coded.system, coded.version)
    except SsciError as problem:
        return Verdict(False, str(problem))
    return check_in_code_system(system, wish)(coded)


async def look_up_code(app: FhirApp, request: Request) -> Response:
    known = ("code", "system", "version", "coding", "property", _LANGUAGE)
    parameters = read_known(request, known, bare="coding")
    (coded,) = read_codes(parameters, "version")
    wanted = texts(parameters, "property")
    system = await _system_of(app, request, coded.system, coded.version)
    found = look_up(system, coded.code, wanted, text(parameters, _LANGUAGE))
    return answer_parameters(found)


async def tell_subsumption(app: FhirApp, request: Request) -> Response:
    known = ("codeA", "codeB", "codingA", "codingB", "system", "version")
    parameters = read_known(request, known)
    one, other = (_concept(parameters, side) for side in "AB")
    if one.system is not None and other.system is not None and one.system != other.system:
        raise refused("codingB", "both codes must be of one system")
    system = await _system_of(app, request, one.system or other.system, one.version)
    outcome = subsumes(system, one.code, other.code)
    return answer_parameters([{"name": "outcome", "valueCode": outcome}])


def _concept(parameters: Parameters, side: str) -> Coded:
    coding = structure(parameters, f"coding{side}")
    if coding is not None and f"code{side}" in parameters:
        raise refused(f"coding{side}", f"can't be given beside 'code{side}'")
    if coding is not None:
        return read_coding(coding, f"coding{side}")
    code = required_text(parameters, f"code{side}")
    return Coded(code, text(parameters, "system"), text(parameters, "version"))


async def _system_of(
    app: FhirApp, request: Request, named: str | None, version: str | None
) -> CodeSystem:
    """The system of the address, else the one named; 400 if they differ, or there is none."""
    if _is_instance(request):
        system = read_code_system(await _at_address(app, request))
        if named not in (None, system.url):
            raise refused("system", f"is not that of this resource, {system.url}")
        return system
    if named is None:
        raise missing("system")
    return await terminology_for(app, request).code_system(named, version)


# ---- concept maps


async def translate_code(app: FhirApp, request: Request) -> Response:
    parameters = read_known(request, _OF_TRANSLATE, bare="conceptMap")
    codes = read_codes(parameters, "version")
    reverse = boolean(parameters, "reverse", False)
    given = tuple(_dependency(each) for each in parameters.get("dependency", ()))
    direction = Direction(text(parameters, "targetsystem"), reverse, given)
    held = terminology_for(app, request)
    maps = await _maps(app, request, held, parameters, codes)
    library = await held.gather(maps)
    return answer_parameters(translate(codes, maps, library.concept_maps, direction))


def _dependency(given: Any) -> Dependency:
    """A parameter of two parts: `element`, a URI, and `concept`, a CodeableConcept."""
    parts = given.get("part") if isinstance(given, dict) else None
    try:
        held = {each["name"]: each for each in parts or ()}
        codings = held["concept"]["valueCodeableConcept"]["coding"]
        codes = tuple(read_coding(each, "dependency") for each in codings)
        element = held["element"]["valueUri"]
    except (AttributeError, KeyError, TypeError):
        rule = "needs the parts element (a uri) and concept (a CodeableConcept with a coding)"
        raise refused("dependency", rule) from None
    if not isinstance(element, str):
        raise refused("dependency", "element: must be text")
    return Dependency(element, codes)


_OF_TRANSLATE = (
    "dependency",
    "url",
    "conceptMap",
    "conceptMapVersion",
    "code",
    "system",
    "version",
    "coding",
    "codeableConcept",
    "source",
    "target",
    "targetsystem",
    "reverse",
)


async def _maps(
    app: FhirApp,
    request: Request,
    held: StoredTerminology,
    parameters: Parameters,
    codes: Sequence[Coded],
) -> list[Json]:
    """The map that is named; else all that lead from the codes' systems, between the value sets
    `source` and `target` if these are named."""
    if _names_resource(request, parameters, "conceptMap"):
        return [await _resource(app, request, held, parameters, "ConceptMap")]
    systems = sorted({coded.system for coded in codes if coded.system})
    if not systems:
        raise missing("url" if "code" in parameters and "system" in parameters else "system")
    search = "target-system" if boolean(parameters, "reverse", False) else "source-system"
    found = [each for system in systems for each in await held.search("ConceptMap", search, system)]
    source, target = text(parameters, "source"), text(parameters, "target")
    unique = {each["id"]: each for each in found if each.get("status") != "retired"}
    return [
        each
        for each in unique.values()
        if _leads(each, "source", source) and _leads(each, "target", target)
    ]


def _leads(concept_map: Json, end: str, value_set: str | None) -> bool:
    held = concept_map.get(f"{end}Canonical") or concept_map.get(f"{end}Uri")
    if value_set is None or held is None:
        return value_set is None
    return split_canonical(held)[0] == split_canonical(value_set)[0]


# ---- the resource in question


def _is_instance(request: Request) -> bool:
    return len(request.path) > 2


def _names_resource(request: Request, parameters: Parameters, inline: str) -> bool:
    return _is_instance(request) or "url" in parameters or inline in parameters


async def _resource(
    app: FhirApp, request: Request, held: StoredTerminology, parameters: Parameters, kind: Kind
) -> Json:
    """From the address, the request or by `url`; 400 unless named in one way, 404 if not held."""
    inline = f"{kind[0].lower()}{kind[1:]}"
    ways = [name for name in ("url", inline) if name in parameters]
    if _is_instance(request):
        if ways:
            raise refused(ways[0], "the address names the resource already")
        return await _at_address(app, request)
    if len(ways) > 1:
        raise refused(ways[1], "can't be given beside 'url'")
    resource = structure(parameters, inline)
    if resource is not None:
        return _checked(app, resource, kind, inline)
    version = text(parameters, "version" if kind == "CodeSystem" else f"{inline}Version")
    return await held.require(kind, required_text(parameters, "url"), version)


def _checked(app: FhirApp, resource: Json, kind: Kind, name: str) -> Json:
    if resource.get("resourceType") != kind:
        raise refused(name, f"must be a {kind} resource")
    app.store.check(resource)
    return resource


async def _at_address(app: FhirApp, request: Request) -> Json:
    """The resource at `[type]/[id]`, or that version of it."""
    kind, id, *rest = request.path[:-1]
    if rest:
        number = rest[-1]
        usable = number.isascii() and number.isdigit() and len(number) < 10
        version = int(number) if usable else 0
        stored = await app.store.read_version(request.caller, kind, id, version)
    else:
        stored = await app.store.read(request.caller, kind, id)
    if stored is None or stored.body is None:
        raise error(Category.NOT_FOUND, f"{'/'.join(request.path[:-1])[:200]} is not known")
    return parse_json(stored.body)


def _wish(parameters: Parameters) -> Wish:
    return Wish(boolean(parameters, "abstract", False), text(parameters, _LANGUAGE))


def _whole(parameters: Parameters, name: str) -> int | None:
    """A whole number from 0, of at most nine digits."""
    values = parameters.get(name, ())
    if not values:
        return None
    digits = str(values[0]) if type(values[0]) in (str, int) else ""
    if len(values) > 1 or not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise refused(name, "must be one whole number, 0 or more")
    return int(digits)


_AT_TYPE: frozenset[Level] = frozenset({"type"})
_ALWAYS: frozenset[Level] = frozenset({"type", "instance"})
_SHOWN_IN = Asked(_LANGUAGE, EXPANSION[_LANGUAGE])
_INSTANCE: frozenset[Level] = frozenset({"instance"})
_URL = Asked("url", "canonical URL, or `url|version`", needed_at=_AT_TYPE, not_at=_INSTANCE)
_CODE = Asked("code", "the code", needed_at=_ALWAYS)
_SYSTEM = Asked("system", "the code system of the code")
_NAMED_SYSTEM = Asked("system", "the code system of the code", needed_at=_AT_TYPE)
_ABSTRACT = Asked("abstract", "whether an abstract concept counts as a code", "boolean")
_ANY_VERSION = Asked("version", "the version of the code system")
_DISPLAY = Asked("display", "the display to check")

_FORMS: Mapping[str, Form] = {
    "offset": "whole",
    "count": "whole",
    "includeDesignations": "boolean",
    "includeDefinition": "boolean",
    "activeOnly": "boolean",
    "excludeNested": "boolean",
    "excludeNotForUI": "boolean",
    "excludePostCoordinated": "boolean",
    "system-version": "versioned",
}
_ASKED_TO_EXPAND = (
    _URL,
    *(
        Asked(name, told, _FORMS.get(name, "text"))
        for name, told in EXPANSION.items()
        if name not in ("url", "valueSet")
    ),
)
_ASKED_OF_VALUE_SET = (
    *(_URL, _CODE, _SYSTEM, _DISPLAY, _ABSTRACT, _SHOWN_IN),
    Asked("systemVersion", "the version of the code system"),
    Asked("valueSetVersion", "the version of the value set"),
)
_ASKED_OF_CODE_SYSTEM = (_URL, _CODE, _SYSTEM, _ANY_VERSION, _DISPLAY, _ABSTRACT, _SHOWN_IN)
_ASKED_TO_LOOK_UP = (
    *(_CODE, _NAMED_SYSTEM, _ANY_VERSION, _SHOWN_IN),
    Asked("property", "a property to show; may be repeated"),
)
_ASKED_TO_SUBSUME = (
    Asked("codeA", "the first code", needed_at=_ALWAYS),
    Asked("codeB", "the second code", needed_at=_ALWAYS),
    *(_NAMED_SYSTEM, _ANY_VERSION),
)
_ASKED_TO_TRANSLATE = (
    Asked("url", "canonical URL of the map; without it `system` finds it", not_at=_INSTANCE),
    *(_CODE, _SYSTEM, _ANY_VERSION),
    Asked("conceptMapVersion", "the version of the map"),
    Asked("source", "canonical URL of the value set to translate from"),
    Asked("target", "canonical URL of the value set to translate to"),
    Asked("targetsystem", "the code system to translate to"),
    Asked("reverse", "whether to translate from the target to the source", "boolean"),
)


def _operation(
    name: str,
    kind: Kind,
    run: Run,
    asked: tuple[Asked, ...],
    levels: tuple[Level, ...] = ("type", "instance"),
    answers: str = "Parameters",
) -> Operation:
    return Operation(
        name,
        frozenset({kind}),
        frozenset(levels),
        run,
        affects_state=False,
        definition=f"http://hl7.org/fhir/OperationDefinition/{kind}-{name}",
        answers=answers,
        asked=asked,
    )


OPERATIONS: tuple[Operation, ...] = (
    _operation("expand", "ValueSet", expand_value_set, _ASKED_TO_EXPAND, answers="ValueSet"),
    _operation("validate-code", "ValueSet", validate_in_value_set, _ASKED_OF_VALUE_SET),
    _operation("validate-code", "CodeSystem", validate_in_code_system, _ASKED_OF_CODE_SYSTEM),
    _operation("lookup", "CodeSystem", look_up_code, _ASKED_TO_LOOK_UP, levels=("type",)),
    _operation("subsumes", "CodeSystem", tell_subsumption, _ASKED_TO_SUBSUME),
    _operation("translate", "ConceptMap", translate_code, _ASKED_TO_TRANSLATE),
)
