# SPDX-License-Identifier: MIT
"""HTTP with a hawkBit server's Management API: one request in, JSON or an error that says who must act out.

TLS is always verified, nothing is redirected (credentials would go along), a proxy is taken from the environment as
usual. A server that is asked too quickly (429 of its filter) is asked again; nothing else is. What can go wrong:

    not reached, TLS, time-out, no hawkBit    TargetError
    401, 403, 404 of the API itself           UserError: credentials, permissions or address are the user's
    409                                       Conflict, a TargetError that a caller may look into
    413, 429 with a quota, 423, 5xx, others   TargetError with what the server said
"""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable
from types import TracebackType
from typing import Any

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from firmware.errors import FirmwareError, TargetError, UserError
from firmware.hawkbit_access import Credentials
from firmware.hawkbit_upload import Form

API = "/rest/v1"
CONNECT_SECONDS, ANSWER_SECONDS = 20.0, 60.0
DIGEST_SECONDS = 600.0  # the server stores and hashes what it got before it answers
PATIENCE, PAUSE_SECONDS = 5, 1.0  # "has to wait another second", says the API's description of 429
SAID_CHARACTERS = 300

Json = Any  # what a server says, until somebody has looked at it


class Conflict(TargetError):
    """The server has something of that name already."""


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Session:
    """A server's Management API, as one user; use it as a context manager."""

    def __init__(self, server: str, who: Credentials, verify: str | bool = True) -> None:
        """`server` and `verify` as `hawkbit_access` gives them."""
        self.server, self._who = server, who
        self.host = urllib.parse.urlsplit(server).netloc
        self._http = requests.Session()
        self._http.auth = _Bearer(who.token) if who.token else HTTPBasicAuth(who.user.encode(), who.password.encode())
        self._http.headers["Accept"] = "application/json"
        self._verify = verify

    def __enter__(self) -> Session:
        """Nothing is sent yet."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: str | int) -> Json:
        """What the server says of `path`."""
        return self._ask("GET", path, query)

    def post(self, path: str, body: Json = None) -> Json:
        """Make something, or begin something; what the server says of it."""
        return self._ask("POST", path, {}, json=body)

    def delete(self, path: str) -> None:
        """Take something away."""
        self._ask("DELETE", path, {})

    def upload(self, path: str, form: Form, **query: str) -> Json:
        """Send a form with a file in it."""
        headers = {"Content-Type": form.content_type}
        return self._ask("POST", path, query, data=form, headers=headers, seconds=DIGEST_SECONDS)

    def _ask(
        self, method: str, path: str, query: dict[str, Any], seconds: float = ANSWER_SECONDS, **content: Any
    ) -> Json:
        url, limits = self.server + API + path, (CONNECT_SECONDS, seconds)
        for left in reversed(range(PATIENCE)):
            answer = self._reach(
                lambda: self._http.request(
                    method, url, params=query, timeout=limits, verify=self._verify, allow_redirects=False, **content
                )
            )
            if answer.status_code != 429 or "data" in content or not left or "quota" in said(answer):
                break
            time.sleep(PAUSE_SECONDS)  # paces the attempts; the evidence is the server's answer
        if not answer.ok or answer.is_redirect:
            raise self._error(answer, f"{method} {API}{path}")
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise TargetError(self.host, f"{method} {API}{path}: no JSON: is it a hawkBit server?") from error

    def _reach(self, send: Callable[[], requests.Response]) -> requests.Response:
        try:
            return send()
        except requests.exceptions.SSLError as error:
            advice = "valid: a certificate that this computer trusts, or --ca-file=FILE with its authority"
            raise TargetError(
                self.host, f"its certificate is not accepted, nothing was sent: {cause(error)} ({advice})"
            ) from None
        except requests.exceptions.ProxyError as error:
            raise TargetError(self.host, f"not reached through the proxy of the environment: {cause(error)}") from None
        except requests.exceptions.Timeout as error:
            raise TargetError(self.host, f"does not answer in time: {cause(error)}") from None
        except requests.exceptions.ConnectionError as error:
            raise TargetError(self.host, f"not reached, or the link was lost: {cause(error)}") from None
        except requests.exceptions.RequestException as error:
            raise TargetError(self.host, f"HTTP does not work: {cause(error)}") from None

    def _error(self, answer: requests.Response, what: str) -> FirmwareError:
        status, told = answer.status_code, said(answer)
        if answer.is_redirect:
            where = answer.headers.get("Location", "")[:SAID_CHARACTERS]
            return UserError(f"{self.host} sends on to {where}: not followed (valid: --server with that server)")
        if status == 401:
            return UserError(
                f"{self.host} does not accept {self._who.name} (valid: credentials of a user that it knows)"
            )
        if status == 403:
            wanted = "valid: a user who may read, create and upload software, and handle roll-outs for --target-filter"
            return UserError(f"{self.host}: {self._who.name} may not {what}: {told} ({wanted})")
        if status == 404 and not told.startswith("hawkbit."):
            return UserError(
                f"{self.host}: no {what} there: is it a hawkBit server? (valid: --server=https://HOST[/PATH])"
            )
        meaning = {
            409: "there is one already, or another program has just changed it (valid: the same command again)",
            413: "the server, or a proxy before it, takes no file of this size (valid: a higher limit there)",
            423: "it is locked, as what was once assigned is (valid: another version)",
            429: "a quota of the server is used up (valid: old versions deleted there, or a higher quota)",
        }.get(status, "")
        kind = Conflict if status == 409 else TargetError
        return kind(self.host, f"{what}: status {status}: {told}" + (f": {meaning}" if meaning else ""))


def cause(error: BaseException) -> str:
    """The first cause of what `requests` reports, without the pools and addresses around it."""
    inner: Any = error
    while found := [part for part in (getattr(inner, "reason", None), *inner.args) if isinstance(part, Exception)]:
        inner = found[0]
    return str(inner).rpartition("): ")[2].strip() or type(inner).__name__


def said(answer: requests.Response) -> str:
    """What an error's answer says: hawkBit's own code and message, else the beginning of the text."""
    try:
        body = answer.json()
        code, message = str(body.get("errorCode") or ""), str(body.get("message") or "")
        text = ": ".join(part for part in (code, message) if part)
    except (ValueError, AttributeError):
        text = "" if "<" in answer.text[:100] else answer.text
    return " ".join(text.split())[:SAID_CHARACTERS] or answer.reason or "no reason given"
