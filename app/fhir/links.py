"""References between the entries of a Bundle become references between stored resources.
https://hl7.org/fhir/R4/http.html#trules · https://hl7.org/fhir/R4/bundle.html#references
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.fhir.model import Json

Addresses = Mapping[str, str]
"""What a reference may say (a fullUrl, a provisional `[type]/[id]`) → what it is to say."""

_IN_NARRATIVE = re.compile(r'(?<==["\'])[^"\'#]+')


def relink(value: Any, addresses: Addresses) -> Any:
    """The same tree with the addresses in links replaced, fragments kept: references, elements that
    hold a uri or canonical, and links in narratives. Other text stays as it was written."""
    return _relink(value, addresses, key="")


def _relink(value: Any, addresses: Addresses, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _relink(held, addresses, name) for name, held in value.items()}
    if isinstance(value, list):
        return [_relink(held, addresses, key) for held in value]
    if not isinstance(value, str):
        return value
    if key == "div":
        return _relink_narrative(value, addresses)
    return _relinked(value, addresses) if _is_link(key) else value


_TEXT = frozenset({"valueString", "valueMarkdown", "valueCode", "valueId", "valueBase64Binary"})


def _is_link(key: str) -> bool:
    """Whether the element may hold a link; the text of comments and names never does."""
    return key not in _TEXT and key not in _PLAIN


_PLAIN = frozenset({"text", "display", "comment", "description", "name", "title", "value", "data"})


def _relinked(value: str, addresses: Addresses) -> str:
    if value in addresses:
        return addresses[value]
    bare, sign, fragment = value.partition("#")
    return addresses[bare] + sign + fragment if sign and bare in addresses else value


def _relink_narrative(text: str, addresses: Addresses) -> str:
    return _IN_NARRATIVE.sub(lambda found: addresses.get(found[0], found[0]), text)


def localised(resource: Json, body: bytes, base_url: str) -> Json:
    """The resource with references by our own absolute address made relative, so that they are
    found whatever the name is by which a client reached us."""
    if f'"{base_url}/'.encode() not in body and f"'{base_url}/".encode() not in body:
        return resource
    prefix = f"{base_url}/"
    own = {each: each.removeprefix(prefix) for each in references_in(resource)}
    found: Json = _relink_references(resource, own)
    return found


def _relink_references(value: Any, addresses: Addresses) -> Any:
    if isinstance(value, dict):
        return {
            name: addresses.get(held, held)
            if name == "reference" and isinstance(held, str)
            else _relink_references(held, addresses)
            for name, held in value.items()
        }
    if isinstance(value, list):
        return [_relink_references(held, addresses) for held in value]
    return value


def references_in(value: Any) -> Iterator[str]:
    """What the elements `reference` of a resource say, wherever they stand."""
    if isinstance(value, dict):
        for key, held in value.items():
            if key == "reference" and isinstance(held, str):
                yield held
            else:
                yield from references_in(held)
    elif isinstance(value, list):
        for held in value:
            yield from references_in(held)


def mentions(value: Any, addresses: Mapping[str, object]) -> bool:
    return any(reference.partition("#")[0] in addresses for reference in references_in(value))
