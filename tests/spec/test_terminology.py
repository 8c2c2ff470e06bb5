"""The terminology operations as small tables. https://hl7.org/fhir/R4/terminology-service.html"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.errors import SsciError
from app.fhir.terminology import (
    Coded,
    Direction,
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
    standard_resources,
    subsumes,
    translate,
)
from app.fhir.terminology.code_systems import UCUM
from tests.fhir_support import facts
from tests.terminology_support import ANIMALS, code_system, library, value_set

SYSTEM = code_system(
    """
    animal display=Animal notSelectable=true
        mammal display=Mammal legs=4
            dog display=Dog zh=狗 de=Hund legs=4
            cat display=Cat zh=猫 legs=4 colour=black
            whale display=Whale legs=0
        bird display=Bird legs=2
            dodo display=Dodo status=retired legs=2
    """,
    version="2.1",
)
PETS = value_set(
    [{"system": ANIMALS, "concept": [{"code": "dog", "display": "Doggy"}, {"code": "cat"}]}],
    url="http://example.org/pets",
)
LIBRARY = library(SYSTEM, PETS)


def codes(include: Any, exclude: Any = None, **more: Any) -> str:
    members = expand(value_set(include, exclude, **more), LIBRARY)
    return " ".join(code for _, code in members.concepts)


def taken(op: str, value: str, name: str = "concept") -> Any:
    return [{"system": ANIMALS, "filter": [{"property": name, "op": op, "value": value}]}]


WHOLE = [{"system": ANIMALS}]
IMPORTED = [{"valueSet": ["http://example.org/pets"]}]

EXPANSIONS = [
    (WHOLE, None, "animal mammal dog cat whale bird dodo"),
    (taken("is-a", "mammal"), None, "mammal dog cat whale"),
    (taken("descendent-of", "mammal"), None, "dog cat whale"),
    (taken("is-not-a", "mammal"), None, "animal bird dodo"),
    (taken("generalizes", "dog"), None, "animal mammal dog"),
    (taken("=", "4", "legs"), None, "mammal dog cat"),
    (taken("=", "mammal", "parent"), None, "dog cat whale"),
    (taken("in", "dog, bird", "code"), None, "dog bird"),
    (taken("not-in", "2,0", "legs"), None, "animal mammal dog cat"),
    (taken("exists", "true", "colour"), None, "cat"),
    (taken("exists", "false", "legs"), None, "animal"),
    (taken("regex", "[cd]a?o?[tg]", "code"), None, "dog cat"),
    (taken("regex", "o", "code"), None, ""),
    (taken("is-a", "unknown"), None, ""),
    (IMPORTED, None, "dog cat"),
    (WHOLE, taken("is-a", "mammal"), "animal bird dodo"),
    (WHOLE, IMPORTED, "animal mammal whale bird dodo"),
    ([*IMPORTED, *taken("is-a", "bird")], None, "dog cat bird dodo"),
    ([taken("=", "black", "colour")[0] | IMPORTED[0]], None, "cat"),
    ([{"system": "http://unheard.org", "concept": [{"code": "x"}]}], None, "x"),
]


@pytest.mark.parametrize(("include", "exclude", "expected"), EXPANSIONS)
def test_a_value_set_has_these_codes(include, exclude, expected):
    assert codes(include, exclude) == expected


def test_inactive_concepts_stay_out_where_the_definition_says_so():
    inner = value_set(WHOLE)
    inner["compose"]["inactive"] = False
    assert "dodo" not in {code for _, code in expand(inner, LIBRARY).concepts}


REFUSALS = [
    ([{"system": "http://unheard.org"}], "CodeSystem http://unheard.org is not held"),
    ([{"system": ANIMALS, "version": "9"}], r"animals\|9 is not held"),
    ([{"valueSet": ["http://example.org/no"]}], "ValueSet http://example.org/no is not held"),
    (taken("like", "x"), "operator 'like' is not known"),
    (taken("regex", "(?=x)", "code"), "no regular expression"),
    (taken("regex", "(" * 3, "code"), "no regular expression"),
    ([{}], "neither a system nor a value set"),
]


@pytest.mark.parametrize(("include", "message"), REFUSALS)
def test_what_can_not_be_expanded_is_refused(include, message):
    with pytest.raises(SsciError, match=message) as refusal:
        codes(include)
    assert refusal.value.http_status == 422


def test_value_sets_that_include_each_other_are_refused():
    one = value_set([{"valueSet": ["http://example.org/2"]}], url="http://example.org/1")
    two = value_set([{"valueSet": ["http://example.org/1"]}], url="http://example.org/2")
    with pytest.raises(SsciError, match="in a circle"):
        expand(one, library(one, two))


def test_imports_of_imports_are_looked_at_once():
    def name(level: int) -> str:
        return f"http://example.org/level-{level}"

    twice = [
        value_set([{"valueSet": [name(n + 1)]}, {"valueSet": [name(n + 1)]}], url=name(n))
        for n in range(40)
    ]
    held = library(*twice, value_set(WHOLE, url=name(40)), SYSTEM)
    assert len(expand(twice[0], held).concepts) == 7


def test_imports_nested_too_deep_are_refused():
    chain = [
        value_set([{"valueSet": [f"http://example.org/{n + 1}"]}], url=f"http://example.org/{n}")
        for n in range(200)
    ]
    with pytest.raises(SsciError, match="more than 50 deep"):
        expand(chain[0], library(*chain))


def test_a_pattern_that_would_run_for_years_does_not():
    include = taken("regex", "(a*)*b", "code")
    long_codes = code_system("a" * 60)
    assert expand(value_set(include), library(long_codes)).concepts == {}


def test_too_large_a_value_set_is_too_costly(monkeypatch):
    monkeypatch.setattr("app.fhir.terminology.expansion.MAX_CONCEPTS", 5)
    with pytest.raises(SsciError) as refusal:
        codes(WHOLE)
    assert refusal.value.issues[0].code == "too-costly"


# ---- how an expansion is shown


def shown(view: View, include: Any = WHOLE, library: Any = LIBRARY) -> Any:
    held = value_set(include)
    at = datetime(2024, 5, 1, tzinfo=UTC)
    return build_expansion(held, expand(held, library), view, at)["expansion"]


def shown_codes(view: View) -> str:
    return " ".join(each["code"] for each in shown(view).get("contains", ()))


VIEWS = [
    (View(offset=2, count=2), "dog cat"),
    (View(count=0), ""),
    (View(text="MAM"), "mammal"),
    (View(text="狗"), "dog"),
    (View(text="o DO"), "dog dodo"),
    (View(active_only=True), "animal mammal dog cat whale bird"),
    (View(selectable_only=True), "mammal dog cat whale bird dodo"),
]


@pytest.mark.parametrize(("view", "expected"), VIEWS)
def test_a_view_shows_a_part(view, expected):
    assert shown_codes(view) == expected


def test_the_total_counts_what_the_view_leaves_of_all_pages():
    page = shown(View(text="d", offset=1, count=1))
    assert (page["total"], page["offset"], len(page["contains"])) == (3, 1, 1)
    assert {"name": "filter", "valueString": "d"} in page["parameter"]


def test_a_concept_is_shown_with_what_is_known_of_it():
    first, *_, last = shown(View(designations=True))["contains"]
    assert first == {
        "system": ANIMALS,
        "abstract": True,
        "version": "2.1",
        "code": "animal",
        "display": "Animal",
    }
    assert last["inactive"] is True


def test_names_come_in_the_language_asked_for():
    (dog,) = shown(View(text="dog", language="de-DE,de;q=0.9", designations=True))["contains"]
    assert dog["display"] == "Hund"
    assert [each["language"] for each in dog["designation"]] == ["zh", "de"]
    (cat,) = shown(View(text="cat", language="de"))["contains"]
    assert cat["display"] == "Cat"


def test_the_words_of_the_value_set_go_before_those_of_the_system():
    assert shown(View(), PETS["compose"]["include"])["contains"][0]["display"] == "Doggy"


def test_a_fragment_is_told_to_be_one():
    held = library(SYSTEM | {"content": "fragment"})
    assert shown(View(), library=held)["extension"][0]["valueBoolean"] is True
    assert "extension" not in shown(View())


def test_large_expansions_must_be_asked_for_in_parts(monkeypatch):
    monkeypatch.setattr("app.fhir.terminology.presentation.MAX_RETURNED", 3)
    with pytest.raises(SsciError, match="more than 3 concepts"):
        shown(View())
    assert len(shown(View(count=5))["contains"]) == 3


# ---- validate-code

VALID = [
    (Coded("dog", ANIMALS), True, None),
    (Coded("dog"), True, None),
    (Coded("whale", ANIMALS), False, "is not in the value set"),
    (Coded("dog", "http://other.org"), False, "is not in the value set"),
    (Coded("dog", ANIMALS, display="hund"), True, None),
    (Coded("dog", ANIMALS, display="Doggy"), True, None),
    (Coded("dog", ANIMALS, display="Tiger"), False, "no name of .*it is 'Doggy'"),
    (Coded("dog", ANIMALS, version="1.0"), False, "is not in the value set"),
    (Coded("DOG", ANIMALS), False, "is not in the value set"),
]


@pytest.mark.parametrize(("coded", "expected", "message"), VALID)
def test_a_code_is_in_the_value_set_or_not(coded, expected, message):
    verdict = check_in_value_set(PETS, LIBRARY, Wish())(coded)
    assert verdict.result is expected
    assert_message(verdict, message)


def assert_message(verdict: Verdict, message: str | None) -> None:
    if message is None:
        assert verdict.message is None
    else:
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(verdict.message)


IN_SYSTEM = [
    (Coded("dog"), Wish(), True, None),
    (Coded("cow"), Wish(), False, "not a code of"),
    (Coded("animal"), Wish(), False, "abstract"),
    (Coded("animal"), Wish(abstract=True), True, None),
    (Coded("dodo"), Wish(), True, "inactive"),
    (Coded("dog", "http://other.org"), Wish(), False, "another system"),
    (Coded("dog", display="cat"), Wish(), False, "no name of"),
]


@pytest.mark.parametrize(("coded", "wish", "expected", "message"), IN_SYSTEM)
def test_a_code_is_of_the_code_system_or_not(coded, wish, expected, message):
    verdict = check_in_code_system(read_code_system(SYSTEM), wish)(coded)
    assert verdict.result is expected
    assert_message(verdict, message)


def test_letters_count_only_where_the_system_says_so():
    relaxed = SYSTEM | {"caseSensitive": False}
    check = check_in_value_set(PETS, library(relaxed, PETS), Wish())
    assert check(Coded("DOG", ANIMALS)).coded == Coded("dog", ANIMALS)
    assert check_in_code_system(read_code_system(relaxed), Wish())(Coded("Cat")).result


def test_units_are_codes_by_their_grammar():
    ucum = read_code_system(standard_resources(facts()[0])["CodeSystem", UCUM])
    check = check_in_code_system(ucum, Wish())
    assert check(Coded("10*9/L")).result
    assert not check(Coded("platelets")).result


def test_one_right_coding_is_enough_for_a_concept():
    check = check_in_value_set(PETS, LIBRARY, Wish())
    assert check_any([Coded("x", "http://other.org"), Coded("cat", ANIMALS)], check).result
    assert not check_any([], check).result


def test_a_code_without_system_that_several_systems_have_is_not_decided():
    both = value_set(
        [
            {"system": ANIMALS, "concept": [{"code": "dog"}]},
            {"system": "http://other.org", "concept": [{"code": "dog"}]},
        ]
    )
    verdict = check_in_value_set(both, LIBRARY, Wish())(Coded("dog"))
    assert_message(verdict, "several systems")


def test_a_missing_system_matters_only_to_its_own_codes():
    mixed = value_set([*WHOLE, {"system": "http://unheard.org"}])
    check = check_in_value_set(mixed, LIBRARY, Wish())
    assert check(Coded("dog", ANIMALS)).result
    assert_message(check(Coded("x", "http://unheard.org")), "can't be evaluated.*not held")


# ---- subsumes and lookup

RELATIONS = """
    dog     dog     equivalent
    mammal  dog     subsumes
    animal  dog     subsumes
    dog     animal  subsumed-by
    dog     cat     not-subsumed
    bird    dog     not-subsumed
"""


@pytest.mark.parametrize("row", RELATIONS.strip().splitlines())
def test_two_codes_relate_so(row):
    one, other, outcome = row.split()
    assert subsumes(read_code_system(SYSTEM), one, other) == outcome


def test_nesting_that_means_something_else_subsumes_nothing():
    grouped = read_code_system(SYSTEM | {"hierarchyMeaning": "grouped-by"})
    assert subsumes(grouped, "mammal", "dog") == "not-subsumed"


def test_parents_may_be_properties_and_several():
    system = read_code_system(code_system("a\nb\nc parent=a parent=b\nd parent=c\ne child=a"))
    assert sorted(system.above("d")) == ["a", "b", "c", "d", "e"]
    assert sorted(system.below("a")) == ["a", "c", "d"]


def test_a_circle_of_parents_ends():
    system = read_code_system(code_system("a parent=b\nb parent=a"))
    assert sorted(system.above("a")) == ["a", "b"]


def parts(parameter: Any) -> dict[str, Any]:
    return {
        part["name"]: next(value for key, value in part.items() if key != "name")
        for part in parameter["part"]
    }


def test_a_lookup_tells_names_properties_and_neighbours():
    name, version, display, *rest = look_up(read_code_system(SYSTEM), "cat", (), None)
    assert name == {"name": "name", "valueString": "Animals"}
    assert version == {"name": "version", "valueString": "2.1"}
    assert display == {"name": "display", "valueString": "Cat"}
    assert [parts(each) for each in rest] == [
        {"language": "zh", "value": "猫"},
        {"code": "parent", "value": "mammal", "description": "Mammal"},
        {"code": "legs", "value": 4},
        {"code": "colour", "value": "black"},
    ]


def test_a_lookup_tells_only_the_properties_asked_for():
    found = look_up(read_code_system(SYSTEM), "mammal", ("child",), "zh")
    assert [parts(each)["value"] for each in found if each["name"] == "property"] == [
        "dog",
        "cat",
        "whale",
    ]


def test_an_unknown_code_is_not_found():
    with pytest.raises(SsciError) as refusal:
        look_up(read_code_system(SYSTEM), "cow", (), None)
    assert refusal.value.http_status == 404


# ---- translate

FOOD = "http://example.org/food"


def concept_map(*rows: str, unmapped: Any = None, url: str = "http://example.org/map") -> Any:
    """Rows of `code equivalence target`."""
    elements = [
        {"code": code, "target": [{"equivalence": how} | ({"code": to[0]} if to else {})]}
        for code, how, *to in (row.split() for row in rows)
    ]
    group = {"source": ANIMALS, "target": FOOD, "element": elements}
    group |= {"unmapped": unmapped} if unmapped else {}
    return {"resourceType": "ConceptMap", "url": url, "status": "active", "group": [group]}


MAP = concept_map("dog equivalent bone", "cat wider fish", "cat narrower milk", "whale unmatched")
TRANSLATIONS = [
    ("dog", Direction(), "equivalent:bone"),
    ("cat", Direction(), "wider:fish narrower:milk"),
    ("whale", Direction(), "unmatched:-"),
    ("bird", Direction(), ""),
    ("dog", Direction(target=FOOD), "equivalent:bone"),
    ("dog", Direction(target="http://other.org"), ""),
]


def matches(parameters: Any) -> str:
    found = [parts(each) for each in parameters if each["name"] == "match"]
    return " ".join(f"{m['equivalence']}:{m.get('concept', {}).get('code', '-')}" for m in found)


@pytest.mark.parametrize(("code", "direction", "expected"), TRANSLATIONS)
def test_a_code_translates_so(code, direction, expected):
    answer = translate([Coded(code, ANIMALS)], [MAP], {}, direction)
    assert matches(answer) == expected
    is_translated = expected not in ("", "unmatched:-")
    assert answer[0] == {"name": "result", "valueBoolean": is_translated}


def test_backwards_the_equivalence_turns_round():
    answer = translate([Coded("fish", FOOD)], [MAP], {}, Direction(reverse=True))
    assert matches(answer) == "narrower:cat"


def test_what_is_not_mapped_may_stay_become_fixed_or_go_elsewhere():
    def translated(unmapped: Any, *others: Any) -> str:
        held = concept_map(unmapped=unmapped)
        known = {each["url"]: each for each in (held, *others)}
        return matches(translate([Coded("dog", ANIMALS)], [held], known, Direction()))

    assert translated({"mode": "provided"}) == "equal:dog"
    assert translated({"mode": "fixed", "code": "any"}) == "relatedto:any"
    elsewhere = {"mode": "other-map", "url": "http://example.org/second"}
    second = concept_map("dog equal bone", url="http://example.org/second")
    assert translated(elsewhere, second) == "equal:bone"
    assert translated(elsewhere) == ""
    assert translated({"mode": "other-map", "url": "http://example.org/map"}) == ""


# ---- what the standard brings

STANDARD = """
    ValueSet    http://hl7.org/fhir/ValueSet/observation-status
    ValueSet    http://hl7.org/fhir/ValueSet/administrative-gender
    CodeSystem  http://hl7.org/fhir/observation-status
    CodeSystem  http://terminology.hl7.org/CodeSystem/condition-clinical
"""


@pytest.mark.parametrize("row", STANDARD.strip().splitlines())
def test_value_sets_and_systems_of_required_bindings_are_there(row):
    assert tuple(row.split()) in standard_resources(facts()[0])


def test_every_standard_value_set_can_be_expanded_without_anything_else():
    sets = [
        each for (kind, _), each in standard_resources(facts()[0]).items() if kind == "ValueSet"
    ]
    assert all(expand(each, library()).concepts for each in sets)
    assert len(sets) > 100


def test_only_systems_that_are_known_as_a_whole_are_complete():
    held = standard_resources(facts()[0])
    fragments = {url for (_, url), each in held.items() if each.get("content") == "fragment"}
    assert "http://unitsofmeasure.org" in fragments
    assert "http://hl7.org/fhir/observation-status" not in fragments


# ---- elements that hold nothing but the reason why

ABSENT = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "unknown",
        }
    ]
}


@pytest.mark.parametrize(
    "include",
    [
        {"valueSet": [None], "_valueSet": [ABSENT]},
        {"system": ANIMALS, "concept": [{"_code": ABSENT}]},
        {"system": ANIMALS, "filter": [{"_property": ABSENT, "op": "=", "value": "x"}]},
    ],
)
def test_a_definition_with_gaps_is_refused(include):
    with pytest.raises(SsciError) as refusal:
        codes([include])
    assert refusal.value.http_status == 422


def test_gaps_in_a_code_system_are_left_out():
    concepts = [
        {"_code": ABSENT, "concept": [{"code": "b", "designation": [{"_value": ABSENT}]}]},
        {"code": "a", "property": [{"_code": ABSENT, "valueCode": "x"}, {"code": "status"}]},
    ]
    held = {"resourceType": "CodeSystem", "url": ANIMALS, "concept": concepts, "_content": ABSENT}
    system = read_code_system(held)
    assert list(system.concepts) == ["b", "a"]
    assert system.content == "not-present"
    assert len(look_up(system, "a", (), "de")) + len(look_up(system, "b", (), "de")) == 4


def test_gaps_in_a_map_say_no_more_than_related():
    held = concept_map("dog equal bone")
    target = held["group"][0]["element"][0]["target"][0]
    del target["equivalence"]
    target["product"] = [{"property": "x", "_value": ABSENT}]
    held["group"][0]["unmapped"] = {"_mode": ABSENT}
    answers = [translate([Coded(c, ANIMALS)], [held], {}, Direction()) for c in ("dog", "cat")]
    assert [matches(each) for each in answers] == ["relatedto:bone", ""]
