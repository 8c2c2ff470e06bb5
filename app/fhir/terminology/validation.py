"""Whether a code is of a code system or a value set, and whether it is named as it should be.
https://hl7.org/fhir/R4/valueset-operation-validate-code.html
https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cache

from app.errors import SsciError
from app.fhir.model import Json
from app.fhir.terminology.code_systems import CodeSystem
from app.fhir.terminology.designations import display_in, is_name
from app.fhir.terminology.expansion import Member, Members, expand
from app.fhir.terminology.library import Library


@dataclass(frozen=True, slots=True)
class Coded:
    """A code to be looked at. `system` None: not given."""

    code: str
    system: str | None = None
    version: str | None = None
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`message` says why not, or what else is wrong; `display` is the name as it should be."""

    result: bool
    message: str | None = None
    display: str | None = None
    coded: Coded | None = None

    @property
    def parameters(self) -> list[Json]:
        found: list[Json] = [{"name": "result", "valueBoolean": self.result}]
        if self.message:
            found.append({"name": "message", "valueString": self.message})
        if self.display:
            found.append({"name": "display", "valueString": self.display})
        if self.coded is not None and self.result:
            found.append({"name": "code", "valueCode": self.coded.code})
            if self.coded.system:
                found.append({"name": "system", "valueUri": self.coded.system})
        return found


@dataclass(frozen=True, slots=True)
class Wish:
    """How to look: `abstract` concepts count only where they may; names in this language."""

    abstract: bool = False
    language: str | None = None


Check = Callable[[Coded], Verdict]


def check_any(codes: Sequence[Coded], check: Check) -> Verdict:
    """A CodeableConcept is right if one of its codings is; else the first says why not."""
    verdicts = [check(coded) for coded in codes]
    for verdict in verdicts:
        if verdict.result:
            return verdict
    return verdicts[0] if verdicts else Verdict(False, "there is no coding to look at")


def check_in_value_set(value_set: Json, library: Library, wish: Wish) -> Check:
    """The check of a code against a value set; what can't be evaluated is told in the verdict."""
    name = value_set.get("url") or value_set.get("id") or "given"
    held = library.code_systems.values()
    relaxed = frozenset(system.url for system in held if not system.case_sensitive)
    index_of = cache(lambda system: _Index(expand(value_set, library, system)))

    def check(coded: Coded) -> Verdict:
        try:
            index = index_of(coded.system)
        except SsciError as problem:
            return Verdict(False, f"the value set {name} can't be evaluated: {problem}")
        found = [each for each in index.like(coded.code) if _is_member(coded, each, relaxed)]
        if found or not index.unclosed:
            return _in_value_set(coded, found, name, wish)
        return Verdict(False, f"{_told(coded)} is not in what is held here of {name}")

    return check


class _Index:
    """Members by their folded code."""

    def __init__(self, members: Members) -> None:
        self.unclosed = members.unclosed
        self._by_code: dict[str, list[Member]] = {}
        for member in members.concepts.values():
            self._by_code.setdefault(member.code.casefold(), []).append(member)

    def like(self, code: str) -> Sequence[Member]:
        return self._by_code.get(code.casefold(), ())


def _in_value_set(coded: Coded, found: Sequence[Member], name: str, wish: Wish) -> Verdict:
    if not found:
        return Verdict(False, f"{_told(coded)} is not in the value set {name}")
    if len({member.system for member in found}) > 1:
        return Verdict(False, f"'{coded.code}' is a code of several systems; say which")
    return _judge(coded, found[0], wish)


def _is_member(coded: Coded, member: Member, relaxed: Container[str]) -> bool:
    """Of members that are like the code; `relaxed` are the systems in which case doesn't count."""
    if coded.system not in (None, member.system):
        return False
    if coded.version and member.version and coded.version != member.version:
        return False
    return coded.code == member.code or member.system in relaxed


def check_in_code_system(system: CodeSystem, wish: Wish) -> Check:
    """The check of a code against a code system."""
    return lambda coded: _in_code_system(coded, system, wish)


def _in_code_system(coded: Coded, system: CodeSystem, wish: Wish) -> Verdict:
    if coded.system not in (None, system.url):
        return Verdict(False, f"{_told(coded)} is of another system than {system.url}")
    concept = system.find(coded.code)
    if concept is None:
        known = "" if system.content == "complete" else f" (held here: {system.content})"
        return Verdict(False, f"'{coded.code}' is not a code of {system.url}{known}")
    member = Member(
        system.url,
        concept.code,
        system.version,
        concept.display,
        concept.designations,
        concept.inactive,
        concept.abstract,
    )
    return _judge(coded, member, wish)


def _judge(coded: Coded, member: Member, wish: Wish) -> Verdict:
    """The code is there; is it one to use, and is it named rightly?"""
    display = display_in(wish.language, member.display, member.designations)
    if member.abstract and not wish.abstract:
        return Verdict(False, f"{_told(coded)} is abstract and not to be used itself", display)
    if coded.display and member.display and not _is_named(coded.display, member):
        text = f"'{coded.display}' is no name of {_told(coded)}; it is '{display}'"
        return Verdict(False, text, display)
    message = f"{_told(coded)} is inactive" if member.inactive else None
    return Verdict(True, message, display, Coded(member.code, member.system))


def _is_named(display: str, member: Member) -> bool:
    return is_name(display, member.display, member.designations)


def _told(coded: Coded) -> str:
    return f"'{coded.system}|{coded.code}'" if coded.system else f"'{coded.code}'"
