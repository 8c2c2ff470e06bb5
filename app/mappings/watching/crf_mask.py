"""What is shown of case report forms: of each field the words, numbers and dates that it may hold.
A subject number is no hospital number and is shown; anything else that stands in a field is masked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType

from app.mappings.crf.csv_decoder import columns
from app.mappings.crf.forms import Field, Kind, forms
from app.mappings.crf.records import FLAGS
from app.mappings.dictionary.site import FeedSetting, Site
from app.mappings.watching.csv_mask import cut_table
from app.mappings.watching.json_mask import Keys, cut_by
from app.mappings.watching.masking import LOOSE_TIME, NUMBER, Form, Piece

SUBJECT = re.compile(r"[A-Z]{2,8}-\d{3,5}")


def cut_crf_json(data: bytes, setting: FeedSetting, site: Site) -> tuple[str, list[Piece]] | None:
    """Records as JSON in pieces."""
    return cut_by(_keys())(data, setting, site)


def cut_crf_csv(data: bytes, setting: FeedSetting, site: Site) -> tuple[str, list[Piece]] | None:
    """A table of records in pieces."""
    return cut_table(data, setting, site, columns(), _forms(), frozenset({"subject"}))


@cache
def _forms() -> Mapping[str, Form]:
    """By field, whatever form it is of."""
    fields: dict[str, list[Field]] = {}
    for form in forms().values():
        for each in form.all_fields:
            fields.setdefault(each.name, []).append(each)
    return MappingProxyType({name: _form(found) for name, found in fields.items()})


def _form(fields: Iterable[Field]) -> Form:
    """What one of the fields of a name may hold; several words are joined by `|`."""
    held = list(fields)
    names = {each.name for each in held}
    if names == {"subject"}:
        return SUBJECT
    parts = [_of_kind(each) for each in held]
    if names == {"form"}:
        parts = [_words(forms())]
    return re.compile("|".join(dict.fromkeys(parts)), re.IGNORECASE)


def _of_kind(each: Field) -> str:
    if each.kind is Kind.DATE:
        return LOOSE_TIME.pattern
    if each.kind is Kind.FLAG:
        return _words((*FLAGS, "true", "false"))
    if each.kind in (Kind.NUMBER, Kind.WHOLE):
        return NUMBER.pattern
    word = _words(each.choices)
    if each.kind is Kind.SCORES:
        word = rf"{word}=\d{{1,4}}(?:\.\d{{1,4}})?"
    return word if each.kind is Kind.CODE else rf"{word}(?:\|{word})*"


def _words(choices: Iterable[str]) -> str:
    return rf"(?:{'|'.join(map(re.escape, choices))})"


@cache
def _keys() -> Keys:
    scores = {
        (each.name, item): NUMBER
        for form in forms().values()
        for each in form.fields
        if each.kind is Kind.SCORES
        for item in each.choices
    }
    shown = {("*", name): form for name, form in _forms().items()} | scores
    known = {key for pair in shown for key in pair} | {"records"}
    return Keys(MappingProxyType(shown), frozenset({("", "subject")}), frozenset(known))
