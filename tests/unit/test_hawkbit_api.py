# SPDX-License-Identifier: MIT
"""What `./inv publish` says to a hawkBit server, and what the played one answers, against hawkBit's own description.

The description (OpenAPI 3, JSON) is not ours to ship: `CYCLONE_CAPTURE_HAWKBIT_API` names the file. A running server
gives it at `/v3/api-docs`, and the project publishes it with its documentation (docs/rest-api/mgmt.html). Without it
this is skipped.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from firmware.hawkbit_rollout import Waves
from tests.unit.fake_hawkbit import API, Exchange, FakeHawkbit, Refusal
from tests.unit.test_publication import Run, bundle, certificate, publish, server

pytestmark = pytest.mark.unit
__all__ = ["bundle", "certificate", "publish", "server"]  # fixtures
JSON_BODY, FORM = "application/json", "multipart/form-data"


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    """The description."""
    name = os.environ.get("CYCLONE_CAPTURE_HAWKBIT_API")
    if not name:
        pytest.skip("CYCLONE_CAPTURE_HAWKBIT_API names no description of hawkBit's Management API")
    found: dict[str, Any] = json.loads(Path(name).read_text(encoding="utf-8"))
    return found


def operation(api: dict[str, Any], exchange: Exchange) -> dict[str, Any]:
    """The operation that the request is."""
    for path, operations in api["paths"].items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
        if re.fullmatch(pattern, API + exchange.path) and exchange.method.lower() in operations:
            found: dict[str, Any] = operations[exchange.method.lower()]
            return found
    raise AssertionError(f"no such operation: {exchange.method} {exchange.path}")


def problems(api: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with `value`, unknown keys included."""
    whole = {**schema, "components": closed(api["components"])}
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft4Validator(whole).iter_errors(value)]


def closed(part: Any) -> Any:
    """The schemas, each without room for keys that it does not name."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {key: closed(value) for key, value in part.items() if key != "example"}
    if "properties" in made and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def check(api: dict[str, Any], exchange: Exchange) -> list[str]:
    """What the description does not say about one request and its answer."""
    told = operation(api, exchange)
    where = f"{exchange.method} {exchange.path}"
    wrong = [f"{where}: no query {key}" for key in exchange.query if key not in names(told, "query")]
    if exchange.form or exchange.body is not None:
        contents = told["requestBody"]["content"]
        if exchange.form:
            wrong += [] if FORM in contents else [f"{where}: takes no form"]
        else:
            wrong += [f"{where}: {text}" for text in problems(api, contents[JSON_BODY]["schema"], exchange.body)]
    answer = told["responses"].get(str(exchange.status))
    if answer is None:
        return [*wrong, f"{where}: no status {exchange.status}"]
    schema = answer.get("content", {}).get(JSON_BODY, {}).get("schema")
    if schema:
        wrong += [f"{where} -> {exchange.status}: {text}" for text in problems(api, schema, exchange.answer)]
    return wrong


def names(told: dict[str, Any], place: str) -> set[str]:
    """Parameters of an operation."""
    return {each["name"] for each in told.get("parameters", []) if each["in"] == place}


def test_what_is_wrong_is_found(api: dict[str, Any]) -> None:
    module = [{"name": "x", "version": "1"}]
    assert check(api, Exchange("POST", "/softwaremodules", {}, module, False, 201, [])) == [
        "POST /softwaremodules: $[0]: 'type' is a required property"
    ]
    extra = [{"name": "x", "version": "1", "type": "os", "colour": "red"}]
    assert "'colour' was unexpected" in check(api, Exchange("POST", "/softwaremodules", {}, extra, False, 201, []))[0]
    assert check(api, Exchange("GET", "/rollouts", {"query": ""}, None, False, 418, None)) == [
        "GET /rollouts: no query query",
        "GET /rollouts: no status 418",
    ]
    with pytest.raises(AssertionError, match="no such operation: GET /modules"):
        check(api, Exchange("GET", "/modules", {}, None, False, 200, None))


def test_a_publication_is_as_described(api: dict[str, Any], publish: Run, server: FakeHawkbit) -> None:
    waves = Waves("attribute.board==de0-nano-soc", 4, 0.05)
    server.spoils = True
    with pytest.raises(Exception, match="taken away again"):
        publish()
    server.spoils = False
    publish(waves=waves, start=True)
    publish(waves=waves, start=True)
    server.refuse = [Refusal("GET", 403, times=1), Refusal("GET", 429, times=1)]
    with pytest.raises(Exception, match="may not GET"):
        publish()
    publish()
    kinds = {(each.method, re.sub(r"\d+", "N", each.path), each.status) for each in server.exchanges}
    assert len(kinds) == 15, kinds
    assert [text for each in server.exchanges for text in check(api, each)] == []
