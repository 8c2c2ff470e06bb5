"""A FHIR server of the hospital over HTTP: pages, tokens, waits.

Redirects are not followed, proxies of the environment not used, bytes bounded. A token is fetched
anew once where the server refuses it. https://www.rfc-editor.org/rfc/rfc6749#section-4.4
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from app.mappings.polling.pages import PageTooLarge, PollFailure
from app.mappings.polling.plan import OAuth, PollPlan

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
MAX_TOKEN_BYTES = 64 * 1024
MAX_WAIT = 3600.0
TOKEN_MARGIN = 30.0
TOKEN_LIFE = 300.0
ACCEPT = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is tried, and the waits between: doubled each time, up to `most`, with a
    random part so that many do not come back at once."""

    attempts: int = 5
    first: float = 1.0
    most: float = 60.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random

    def wait(self, attempt: int) -> float:
        return min(self.most, self.first * 2.0**attempt) * (0.5 + self.jitter() / 2)


@dataclass(slots=True)
class _Token:
    value: str = field(default="", repr=False)
    ends: float = 0.0


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes = field(default=b"", repr=False)
    wait: float | None = None


class HisClient:
    """One server. `max_bytes` is the most that a page may have."""

    def __init__(self, plan: PollPlan, max_bytes: int, patience: Patience | None = None) -> None:
        self._plan = plan
        self._max_bytes = max_bytes
        self._patience = patience or Patience()
        self._token = _Token()
        verify = ssl.create_default_context(cafile=plan.ca_file)
        self._client = httpx.AsyncClient(
            verify=verify,
            timeout=httpx.Timeout(60.0, connect=10.0),
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=2),
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def fetch(self, url: str) -> bytes:
        """A page's bytes. Raises PollFailure where the server does not give it."""
        reply = await self._ask(url)
        if reply.status == 401 and self._plan.oauth is not None:
            self._token = _Token()
            reply = await self._ask(url)
        if reply.status == 401:
            raise PollFailure("the server asks for another token (401)")
        if reply.status != 200:
            raise PollFailure(f"the server answers {reply.status}")
        return reply.body

    async def _ask(self, url: str) -> _Reply:
        """The answer, after as many attempts as it takes; the last one's where none succeeds."""

        async def once() -> _Reply:
            headers = {"Accept": ACCEPT, "Accept-Encoding": "identity"}
            if self._plan.oauth is not None:
                headers["Authorization"] = f"Bearer {await self._fetch_token(self._plan.oauth)}"
            request = self._client.build_request("GET", url, headers=headers)
            return await self._send(request, self._max_bytes)

        return await self._retry(once)

    async def _retry(self, once: Callable[[], Awaitable[_Reply]]) -> _Reply:
        for attempt in range(self._patience.attempts):
            last = attempt + 1 == self._patience.attempts
            try:
                reply = await once()
            except httpx.HTTPError as problem:
                if last:
                    name = type(problem).__name__
                    raise PollFailure(f"the server cannot be reached ({name})") from None
                await self._patience.sleep(self._patience.wait(attempt))
                continue
            if reply.status not in RETRIED or last:
                return reply
            await self._patience.sleep(self._wait_for(reply, attempt))
        raise AssertionError("the last attempt returns or raises")

    def _wait_for(self, reply: _Reply, attempt: int) -> float:
        if reply.wait is None:
            return self._patience.wait(attempt)
        if reply.wait > MAX_WAIT:
            raise PollFailure(f"the server answers {reply.status} and asks to wait over an hour")
        return reply.wait

    async def _send(self, request: httpx.Request, limit: int) -> _Reply:
        response = await self._client.send(request, stream=True)
        try:
            wait = read_retry_after(response.headers.get("retry-after", ""), datetime.now(UTC))
            if response.status_code != 200:
                return _Reply(response.status_code, b"", wait)
            return _Reply(200, await _read_bounded(response, limit), wait)
        finally:
            await response.aclose()

    # Tokens

    async def _fetch_token(self, oauth: OAuth) -> str:
        """The token in hand, or a new one; it may be used until shortly before its end."""
        if self._token.value and time.monotonic() < self._token.ends:
            return self._token.value
        form = {"grant_type": "client_credentials"} | (
            {"scope": oauth.scope} if oauth.scope else {}
        )
        request = self._client.build_request(
            "POST", oauth.token_url, data=form, headers={"Accept": "application/json"}
        )
        auth = httpx.BasicAuth(oauth.client_id, oauth.secret)
        signed = next(auth.sync_auth_flow(request))
        reply = await self._send(signed, MAX_TOKEN_BYTES)
        if reply.status in RETRIED:
            raise httpx.RemoteProtocolError("no token for now")
        if reply.status != 200:
            raise PollFailure(f"the token endpoint answers {reply.status}")
        self._token = _read_token(reply.body)
        return self._token.value


def _read_token(body: bytes) -> _Token:
    try:
        told: Any = json.loads(body)
        value, life = told["access_token"], float(told.get("expires_in", TOKEN_LIFE))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PollFailure("the token endpoint gives no access_token") from None
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value:
        raise PollFailure("the token endpoint gives no access_token")
    return _Token(value, time.monotonic() + max(0.0, life - TOKEN_MARGIN))


async def _read_bounded(response: httpx.Response, limit: int) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > limit:
            raise PageTooLarge(f"an answer of more than {limit} bytes")
    return bytes(data)


def read_retry_after(text: str, now: datetime) -> float | None:
    """Seconds to wait, told as a number or as a time; None where nothing is told.
    https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3"""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
