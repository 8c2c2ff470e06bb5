"""Binary as content: read and written in its own media type, without FHIR around it.
https://hl7.org/fhir/R4/binary.html#rest · https://hl7.org/fhir/R4/security.html#binary

Whoever asks for a FHIR format, or by `_format`, gets the resource; in a Bundle it is always one.
Content is anybody's: browsers are told to save it, not to show it or run what is in it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.errors import Category, SsciError, error
from app.fhir import media
from app.fhir.codec import parse_json
from app.fhir.exchange import Request, Response
from app.fhir.model import Json
from app.fhir.queries import join_query, split_query
from app.fhir.registry import Registry

BINARY = "Binary"
UNKNOWN_TYPE = "application/octet-stream"
SAFETY: tuple[tuple[bytes, bytes], ...] = (
    (b"content-disposition", b"attachment"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
)

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}(?: ?; ?{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*"))*')
_HEADER_TEXT = re.compile(r"[!-~]{1,1000}")
_JSON_CLAIM = re.compile(rb'\s*\{(?s:.*)"resourceType"\s*:\s*"Binary"')
_XML_CLAIM = re.compile(rb"(?:\s|<\?(?s:.*?)\?>|<!--(?s:.*?)-->)*<(?:[\w.-]+:)?Binary[\s/>]")
"""The root element, after what may stand before it."""
_ABRIDGING = frozenset({"_summary", "_elements"})


# ---- reading


@dataclass(frozen=True, slots=True)
class Wish:
    """How much a client likes the resource in a FHIR format, what is called plainly JSON or XML,
    and anything else: the highest quality of each in `Accept`."""

    fhir: float
    json: float
    xml: float
    other: float

    @property
    def is_any(self) -> bool:
        return max(self.fhir, self.json, self.xml, self.other) > 0

    def is_for_content(self, content_type: str) -> bool:
        """Plain JSON means the content if that is JSON, else the resource; the same for XML."""
        held = _format_of(content_type)
        plain = {"json": self.json, "xml": self.xml}
        content = max(self.other, *(plain[each] for each in plain if each == held), 0)
        resource = max(plain[each] for each in plain if each != held)
        return content > self.fhir and content >= resource


def is_read(method: str, path: Sequence[str], parameters: Sequence[tuple[str, str]]) -> bool:
    """Whether content may be the answer: a read of a Binary or of a version, without `_format`."""
    is_instance = len(path) > 1 and not path[1].startswith(("_", "$"))
    is_place = is_instance and (len(path) == 2 or (len(path) == 4 and path[2] == "_history"))
    is_asked = method in ("GET", "HEAD") and is_place and path[0] == BINARY
    return is_asked and not any(name == "_format" and value for name, value in parameters)


def parse_wish(accept: str) -> Wish:
    """Without `Accept` the content is meant: a FHIR format has to be asked for."""
    if not accept.strip():
        return Wish(0, 0, 0, 1)
    liked: dict[str, float] = {}
    for media_type, quality in media.parse_accept(accept):
        if "/" in media_type.name:
            kind = _kind(media_type.name)
            liked[kind] = max(liked.get(kind, 0), quality)
    return Wish(*(liked.get(kind, 0) for kind in ("fhir", "json", "xml", "other")))


def _kind(name: str) -> str:
    if name not in media.FORMATS:
        return "other"
    return media.FORMATS[name] if name in media.GENERIC else "fhir"


def _format_of(content_type: str) -> str | None:
    """`json` for application/json and application/vnd.x+json; the same for XML."""
    ending = re.split("[/+]", media.parse_media_type(content_type).name)[-1]
    return ending if ending in ("json", "xml") else None


def unabridged(request: Request) -> Request:
    """The same without `_summary` and `_elements`: content is not cut down."""
    parameters = split_query(request.query)
    kept = [each for each in parameters if each[0] not in _ABRIDGING]
    return request if kept == parameters else replace(request, query=join_query(kept))


def answer_content(response: Response, wish: Wish) -> Response | None:
    """The content of the Binary that `response` holds; None where the resource is meant."""
    resource = parse_json(response.body)
    content_type = str(resource.get("contentType", ""))
    if not wish.is_for_content(content_type):
        return None
    if not _MEDIA_TYPE.fullmatch(content_type):
        content_type = UNKNOWN_TYPE
    content = base64.b64decode(resource.get("data", ""))
    headers = [*response.headers, (b"content-type", content_type.encode("ascii")), *SAFETY]
    secured = resource.get("securityContext", {}).get("reference", "")
    if _HEADER_TEXT.fullmatch(secured):
        headers.append((b"x-security-context", secured.encode("ascii")))
    return replace(response, body=content, headers=tuple(headers))


# ---- writing


def read_binary(request: Request, registry: Registry) -> Json:
    """The Binary in a FHIR body, or one that holds the body, of whichever type that is."""
    content_type = " ".join(request.headers.get("content-type", "").split())
    if _claims_to_be_one(content_type, request.body):
        resource = media.parse_body(content_type, request.body, registry)
        if resource.get("resourceType") == BINARY:
            return resource
    return _hold(request, content_type)


def _claims_to_be_one(content_type: str, body: bytes) -> bool:
    format = media.FORMATS.get(media.parse_media_type(content_type).name)
    claim = {"json": _JSON_CLAIM, "xml": _XML_CLAIM}.get(format or "")
    return claim is not None and claim.match(body.removeprefix(b"\xef\xbb\xbf")) is not None


def _hold(request: Request, content_type: str) -> Json:
    if not _MEDIA_TYPE.fullmatch(content_type):
        text = "must be a media type: that of the Binary's content"
        raise _refused(Category.UNSUPPORTED, text, "http.Content-Type", "not-supported", 415)
    if not request.body:
        text = "the body is empty, and a Binary without content is of no use"
        raise _refused(Category.INCORRECT, text, "Binary.data", "required")
    binary: Json = {"resourceType": BINARY}
    if len(request.path) > 1:
        binary["id"] = request.path[1]
    binary["contentType"] = content_type
    if secured := _security_context(request.headers, request.base_url):
        binary["securityContext"] = {"reference": secured}
    return binary | {"data": base64.b64encode(request.body).decode("ascii")}


def _security_context(headers: Mapping[str, str], base_url: str) -> str:
    """The reference of which the access rules are to hold for the content as well."""
    text = headers.get("x-security-context", "").strip()
    if text and not _HEADER_TEXT.fullmatch(text):
        raise _refused(
            Category.INCORRECT, "must be one reference", "http.X-Security-Context", "value"
        )
    return text.removeprefix(f"{base_url}/")


def _refused(
    category: Category, text: str, expression: str, code: str, status: int | None = None
) -> SsciError:
    return error(category, text, expression=expression, code=code, status=status)
