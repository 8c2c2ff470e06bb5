"""Codes of standards that are not listed here have a form; so has the address of an extension.
https://hl7.org/fhir/R4/valueset-mimetypes.html · https://hl7.org/fhir/R4/extensibility.html
"""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import SsciError
from tests.fhir_support import open_validator

CODE = {"text": "x"}
URL = "http://example.org/x"


def problems(resource: dict[str, Any]) -> list[str | None]:
    try:
        open_validator().validate(resource, "Basic")
    except SsciError as refused:
        return [issue.expression for issue in refused.issues]
    return []


def basic(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Basic", "code": CODE, **members}


def extended(**value: Any) -> dict[str, Any]:
    return basic(extension=[{"url": URL, **value}])


@pytest.mark.parametrize("given", ["text/plain", "text/plain; charset=utf-8", "image/svg+xml"])
def test_a_media_type_is_taken(given: str) -> None:
    assert problems(extended(valueAttachment={"contentType": given, "title": "x"})) == []


@pytest.mark.parametrize("given", ["png", "text/", "text/plain;", "a b/c"])
def test_what_is_no_media_type_is_refused(given: str) -> None:
    found = problems(extended(valueAttachment={"contentType": given, "title": "x"}))
    assert found == ["Basic.extension[0].valueAttachment.contentType"]


@pytest.mark.parametrize(("given", "count"), [("CNY", 0), ("yuan", 1), ("CN", 1)])
def test_a_currency_has_three_capital_letters(given: str, count: int) -> None:
    assert len(problems(extended(valueMoney={"value": 1, "currency": given}))) == count


@pytest.mark.parametrize(("given", "count"), [("zh-CN", 0), ("zh_CN", 1), ("Mandarin Chinese", 1)])
def test_a_language_is_a_tag(given: str, count: int) -> None:
    assert len(problems(basic(language=given))) == count


def test_the_language_of_an_expression_is_one_for_computers() -> None:
    expression = {"language": "text/cql", "expression": "true"}
    assert problems(extended(valueExpression=expression)) == []


def test_the_url_of_an_extension_is_absolute() -> None:
    assert problems(basic(extension=[{"url": "rel", "valueString": "x"}])) == [
        "Basic.extension[0].url"
    ]


@pytest.mark.parametrize("given", [URL, "urn:oid:1.2.3", "https://x"])
def test_absolute_urls_of_extensions_are_taken(given: str) -> None:
    assert problems(basic(extension=[{"url": given, "valueString": "x"}])) == []


def test_inside_another_extension_the_url_may_be_relative() -> None:
    inner = {"url": "rel", "valueString": "x"}
    assert problems(basic(extension=[{"url": URL, "extension": [inner]}])) == []


def test_the_extension_of_a_primitive_has_an_absolute_url_as_well() -> None:
    held = {"extension": [{"url": "rel", "valueString": "x"}]}
    assert len(problems(basic(created="2020", _created=held))) == 1
    assert len(problems(extended(valueString="x", _valueString=held))) == 1
