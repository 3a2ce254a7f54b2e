# SPDX-License-Identifier: MIT
"""A hawkBit server for tests: the part of the Management API that `./inv publish` uses, in memory, over real TLS.

It is as picky as hawkBit's published API description and source say: unknown types are refused, a name and version are
there once, `==` ignores case, an artifact's name is there once a module, hashes are checked, a roll-out is made while
its status is `creating`. `refuse` plays what goes wrong. All that was said is kept in `exchanges`, for
`test_hawkbit_api.py`, which compares it with that description.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import ipaddress
import json
import re
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

API = "/rest/v1"
USER, PASSWORD, TOKEN = "publisher", "pass:wörd", "bearer-secret"
CODE = "hawkbit.server.error."


@dataclass
class Exchange:
    """One request and its answer; `body` and `answer` are JSON, `form` says that a file was sent."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    form: bool
    status: int
    answer: Any


@dataclass
class Refusal:
    """An answer in place of the real one, `times` times, to requests whose method and path match."""

    pattern: str
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1000
    after: bool = False  # the thing is made all the same


class Refused(Exception):
    """hawkBit's own way to refuse."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """As hawkBit's ExceptionInfo."""
        super().__init__(message)
        self.status, self.body = status, {"errorCode": CODE + code, "message": message, "exceptionClass": "x.Y"}


class FakeHawkbit:
    """The server's content."""

    def __init__(self) -> None:
        """As after its first start: with hawkBit's own types."""
        self.url, self.host = "", ""
        self.types = ["os", "application"]
        self.set_types = ["os", "os_app", "app"]
        self.modules: list[dict[str, Any]] = []
        self.artifacts: dict[int, list[dict[str, Any]]] = {}
        self.sets: list[dict[str, Any]] = []
        self.rollouts: list[dict[str, Any]] = []
        self.looks = 2  # so often a roll-out is still being made
        self.spoils = False  # what arrives is another thing
        self.approval = False
        self.board = ""  # what a board must say to prove who it is
        self.assigned: Path | None = None  # the bundle that the board is to install
        self.refuse: list[Refusal] = []
        self.exchanges: list[Exchange] = []
        self._ids = iter(range(1, 1000))

    def asked(self, method: str) -> list[str]:
        """Paths that were asked by `method`."""
        return [each.path for each in self.exchanges if each.method == method]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """What hawkBit would say. Raises Refused."""
        match (method, *path.strip("/").split("/")):
            case ("GET", "softwaremoduletypes"):
                return 200, page([{"id": n, "key": key, "name": key} for n, key in enumerate(self.types)])
            case ("GET", "distributionsettypes"):
                return 200, page([{"id": n, "key": key, "name": key} for n, key in enumerate(self.set_types)])
            case ("GET", "softwaremodules"):
                return 200, page(found(self.modules, query["q"]))
            case ("POST", "softwaremodules"):
                return 201, [self._module(each) for each in body]
            case ("GET", "softwaremodules", number, "artifacts"):
                return 200, self.artifacts[int(number)]
            case ("POST", "softwaremodules", number, "artifacts"):
                return 201, self._artifact(int(number), query, body)
            case ("DELETE", "softwaremodules", number, "artifacts", artifact):
                kept = [each for each in self.artifacts[int(number)] if each["id"] != int(artifact)]
                self.artifacts[int(number)] = kept
                return 200, None
            case ("GET", "distributionsets"):
                return 200, page(found(self.sets, query["q"]))
            case ("POST", "distributionsets"):
                return 201, [self._set(each) for each in body]
            case ("GET", "rollouts"):
                return 200, page(found(self.rollouts, query["q"]))
            case ("POST", "rollouts"):
                return 201, self._rollout(body)
            case ("GET", "rollouts", number):
                return 200, self._look(int(number))
            case ("POST", "rollouts", number, "start"):
                self._start(int(number))
                return 200, None
        raise Refused(404, "repo.entityNotFound", "The given entity does not exist in the repository")

    def ask(self, method: str, path: str) -> Any:
        """What a board is told (DDI API)."""
        if method != "GET":
            return None
        if path == "/bundle" and self.assigned:
            return self.assigned.read_bytes()
        base = f"{self.url}/DEFAULT/controller/v1/{path.split('/')[4]}"
        if self.assigned and path.endswith("/deploymentBase/1"):
            content = self.assigned.read_bytes()
            sums = {name: hashlib.new(name, content).hexdigest() for name in ("sha1", "md5", "sha256")}
            links = {"download": {"href": f"{self.url}/bundle"}}
            artifact = {"filename": self.assigned.name, "hashes": sums, "size": len(content), "_links": links}
            chunk = {"part": "os", "name": "x", "version": "2.0.0", "artifacts": [artifact]}
            return {"id": "1", "deployment": {"download": "forced", "update": "forced", "chunks": [chunk]}}
        links = {"configData": {"href": f"{base}/configData"}}
        if self.assigned:
            links["deploymentBase"] = {"href": f"{base}/deploymentBase/1"}
        return {"config": {"polling": {"sleep": "00:05:00"}}, "_links": links}

    def _module(self, body: dict[str, Any]) -> dict[str, Any]:
        once(self.modules, body)
        if body["type"] not in self.types:
            raise Refused(404, "repo.entityNotFound", f"SoftwareModuleType {body['type']} not found")
        self.modules.append({"id": next(self._ids), "deleted": False, "locked": False, **body})
        self.artifacts[self.modules[-1]["id"]] = []
        return self.modules[-1]

    def _artifact(self, module: int, query: dict[str, str], content: bytes) -> dict[str, Any]:
        if any(each["providedFilename"] == query["filename"] for each in self.artifacts[module]):
            raise Refused(409, "repo.entityAlreadyExists", "The given entity already exists in database")
        if hashlib.sha256(content).hexdigest() != query["sha256sum"]:
            raise Refused(400, "artifact.uploadFailed.checksum.sha256.match", "the provided SHA256 did not match")
        stored = content[:-1] if self.spoils else content
        sums = {name: hashlib.new(name, stored).hexdigest() for name in ("sha1", "md5", "sha256")}
        made = {"id": next(self._ids), "hashes": sums, "providedFilename": query["filename"], "size": len(stored)}
        self.artifacts[module].append(made)
        return made

    def _set(self, body: dict[str, Any]) -> dict[str, Any]:
        once(self.sets, body)
        ids = [each["id"] for each in body["modules"]]
        modules = [each for each in self.modules if each["id"] in ids]
        complete = {each["type"] for each in modules} >= {"os"} or body["type"] == "app"
        made = {
            **body,
            "id": next(self._ids),
            "modules": modules,
            "complete": complete,
            "valid": True,
            "deleted": False,
        }
        self.sets.append(made)
        return made

    def _rollout(self, body: dict[str, Any]) -> dict[str, Any]:
        once(self.rollouts, body)
        if "nobody" in body["targetFilterQuery"]:
            raise Refused(400, "repo.constraintViolation", "Rollout target filter does not match any targets")
        kept = {key: body[key] for key in ("name", "description", "targetFilterQuery", "distributionSetId", "type")}
        made = {"id": next(self._ids), **kept, "status": "creating", "totalTargets": 300, "deleted": False}
        self.rollouts.append(made)
        return made

    def _look(self, number: int) -> dict[str, Any]:
        rollout = next(each for each in self.rollouts if each["id"] == number)
        self.looks -= 1
        if self.looks <= 0 and rollout["status"] == "creating":
            rollout["status"] = "waiting_for_approval" if self.approval else "ready"
        elif rollout["status"] == "starting":
            rollout["status"] = "running"
        return rollout

    def _start(self, number: int) -> None:
        rollout = next(each for each in self.rollouts if each["id"] == number)
        if rollout["status"] != "ready":
            raise Refused(400, "rollout.illegalState", "The rollout is in the wrong state")
        rollout["status"] = "starting"


def page(content: list[dict[str, Any]]) -> dict[str, Any]:
    """A list, as hawkBit pages it."""
    return {"content": content, "total": len(content), "size": len(content)}


def once(there: list[dict[str, Any]], body: dict[str, Any]) -> None:
    """Raise Refused when name and version are taken."""
    if any((each["name"], each.get("version")) == (body["name"], body.get("version")) for each in there):
        raise Refused(409, "repo.entityAlreadyExists", "The given entity already exists in database")


def found(there: list[dict[str, Any]], query: str) -> list[dict[str, Any]]:
    """Those that a query of `key=='value'` finds, without regard to case, as hawkBit does."""
    terms = re.findall(r"(\w+)=='([^']*)'", query)
    assert ";".join(f"{key}=='{value}'" for key, value in terms) == query
    return [each for each in there if all(str(each[key]).lower() == value.lower() for key, value in terms)]


class Handler(BaseHTTPRequestHandler):
    """Requests to `fake`."""

    protocol_version = "HTTP/1.1"
    fake: FakeHawkbit

    def log_message(self, *_words: object) -> None:
        """In silence."""

    def _serve(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        form = self.headers.get("Content-Type", "").startswith("multipart/form-data")
        body = content(raw, self.headers["Content-Type"]) if form else json.loads(raw) if raw else None
        status, answer, headers = self._decide(parts.path, query, body)
        data = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
        data = answer.encode() if isinstance(answer, str) else data
        answer = None if isinstance(answer, bytes) else answer
        known = parts.path.removeprefix(API)
        kept = None if form else json.loads(json.dumps(body))
        exchange = Exchange(self.command, known, query, kept, form, status, json.loads(json.dumps(answer)))
        self.fake.exchanges.append(exchange)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _decide(self, path: str, query: dict[str, str], body: Any) -> tuple[int, Any, dict[str, str]]:
        if self.fake.board and self.headers.get("Authorization") == self.fake.board:
            return 200, self.fake.ask(self.command, path), {"Content-Type": "application/hal+json"}
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") not in (basic, f"Bearer {TOKEN}"):
            return 401, None, {"WWW-Authenticate": "Basic"}
        if not path.startswith(API):
            return 404, "<html>not here</html>", {}
        for each in self.fake.refuse:
            if each.times and re.search(each.pattern, f"{self.command} {path}"):
                each.times -= 1
                if each.after:
                    self.fake.answer(self.command, path.removeprefix(API), query, body)
                return each.status, each.body, each.headers
        try:
            status, answer = self.fake.answer(self.command, path.removeprefix(API), query, body)
        except Refused as error:
            return error.status, error.body, {}
        return status, answer, {}

    do_GET = do_POST = do_PUT = do_DELETE = _serve


def content(raw: bytes, kind: str) -> bytes:
    """The file in a form that has just this one field."""
    boundary = b"--" + kind.split("boundary=")[1].encode()
    head, rest = raw.split(b"\r\n\r\n", 1)
    assert head.startswith(boundary + b'\r\nContent-Disposition: form-data; name="file"; filename="')
    assert rest.endswith(b"\r\n" + boundary + b"--\r\n")
    return rest.removesuffix(b"\r\n" + boundary + b"--\r\n")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for the loopback address, and its key (PEM)."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(address, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    made = builder.sign(key, hashes.SHA256())
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return folder / "ca.pem", folder / "key.pem"


@contextlib.contextmanager
def serve(fake: FakeHawkbit, authority: Path, key: Path) -> Iterator[FakeHawkbit]:
    """`fake` at its `url`, on the loopback address, until the block ends."""
    handler = type("Bound", (Handler,), {"fake": fake})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_words: None  # type: ignore[method-assign]  # a client may refuse the certificate
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        fake.host = f"127.0.0.1:{server.server_port}"
        fake.url = f"https://{fake.host}"
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
