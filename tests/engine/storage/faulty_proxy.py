"""A small HTTP proxy before a real server: it refuses, loses or cuts what a test says and passes the rest on."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple
from xml.sax.saxutils import escape

# An error document repeats the headers of the request, as the real ones do for a wrong signature.
LOSE = "lose"  # passed on; the answer never arrives
CUT = "cut"  # passed on; the answer breaks off in the middle of its body
STALL = "stall"  # neither passed on nor answered
DROP = "drop"  # not passed on, the connection is closed
Fault = int | str | tuple[int, str]  # a status, one of the above, or a status with the code of the error document
_HOP_HEADERS = ("connection", "transfer-encoding", "keep-alive")


class Request(NamedTuple):
    """A request as it arrived; `path` begins with the bucket and may end with a query."""

    method: str
    path: str
    conditional: bool


class FaultyProxy:
    """`choose` decides the fault of every request (None: pass it through); `seen` is all that arrived."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.seen: list[Request] = []
        self.choose: Callable[[Request], Fault | None] = lambda _: None
        self.stopping = threading.Event()
        self._lock = threading.Lock()

    def first(self, count: int, fault: Fault, *, method: str) -> None:
        """Let this befall the next `count` requests of one method."""
        left = [count]

        def choose(request: Request) -> Fault | None:
            if request.method != method or left[0] == 0:
                return None
            left[0] -= 1
            return fault

        self.choose = choose

    def fault_of(self, request: Request) -> Fault | None:
        """Note a request and decide."""
        with self._lock:
            self.seen.append(request)
            return self.choose(request)


@contextmanager
def faulty_proxy(upstream: int) -> Generator[FaultyProxy]:
    """Run a proxy before a port of 127.0.0.1."""
    with _Server(upstream) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server.proxy
        server.proxy.stopping.set()
        server.shutdown()
        thread.join(10)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.proxy = FaultyProxy(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gave up is what the faults are for."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        request = Request(self.command, self.path, "if-none-match" in self.headers)
        self._obey(self.server.proxy.fault_of(request), body)

    def _obey(self, fault: Fault | None, body: bytes) -> None:
        if fault is None or fault == CUT:
            self._pass(body, cut=fault == CUT)
        elif isinstance(fault, str):
            if fault == LOSE:
                self._ask(body)
            if fault == STALL:
                self.server.proxy.stopping.wait(60)
            self.close_connection = True
        else:
            self._refuse(fault)

    def _refuse(self, fault: int | tuple[int, str]) -> None:
        status, code = fault if isinstance(fault, tuple) else (fault, None)
        echo = escape("\n".join(f"{name.lower()}:{value}" for name, value in self.headers.items()))
        document = f"<Error><Code>{code}</Code><CanonicalRequest>{echo}</CanonicalRequest></Error>" if code else ""
        self._answer(status, {"content-length": str(len(document)), "etag": '"0"'}, document.encode())

    def _pass(self, body: bytes, *, cut: bool) -> None:
        response, data = self._ask(body)
        headers = {name: value for name, value in response.getheaders() if name.lower() not in _HOP_HEADERS}
        if "content-length" not in {name.lower() for name in headers}:
            headers["content-length"] = str(len(data))
        self._answer(response.status, headers, data[: len(data) // 2] if cut else data)
        self.close_connection = self.close_connection or cut

    def _ask(self, body: bytes) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("127.0.0.1", self.server.upstream, timeout=30)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_HEADERS:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.wfile.write("\r\n".join(lines).encode())
        if self.command != "HEAD":
            self.wfile.write(body)
