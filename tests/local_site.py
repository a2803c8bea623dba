"""A web site on this machine that behaves as badly as a test wants."""

import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = Callable[["Visitor"], None]


class Visitor(BaseHTTPRequestHandler):
    """One request. A page is a function that gets it and answers."""

    protocol_version = "HTTP/1.1"
    server: "Site"

    def do_GET(self) -> None:
        self.server.hits[self.path] += 1
        self.server.seen.append(self.headers)
        self.close_connection = True
        answer = self.server.pages.get(self.path, partial(send, status=404))
        try:
            answer(self)
        except OSError:  # the visitor hung up, as it should with a page that never ends
            return

    def log_message(self, format: str, *args: Any) -> None:
        return


class Site(ThreadingHTTPServer):
    """Pages by path, how often each was asked for, and the headers of every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Visitor)
        self.pages: dict[str, Answer] = {}
        self.hits: Counter[str] = Counter()
        self.seen: list[Message] = []
        self.closing = threading.Event()

    def url(self, path: str, *, host: str = "localhost", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.server_port}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # a TLS visitor that does not trust us


@contextmanager
def serve(certificate: Path | None = None) -> Iterator[Site]:
    """A site until the end of the block; over TLS if there is a certificate."""
    with Site() as site:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            site.socket = context.wrap_socket(site.socket, server_side=True)
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield site
        finally:
            site.closing.set()
            site.shutdown()
            thread.join()


def send(
    visitor: Visitor, body: bytes | str = b"", *, status: int = 200, type: str = "text/html", **headers: str
) -> None:
    """Answer with a whole page. ``headers``: underscores stand for hyphens."""
    content = body.encode() if isinstance(body, str) else body
    visitor.send_response(status)
    named = {"Content-Type": type, "Content-Length": str(len(content))}
    for name, value in (named | {key.replace("_", "-"): value for key, value in headers.items()}).items():
        visitor.send_header(name, value)
    visitor.end_headers()
    visitor.wfile.write(content)


def page(body: bytes | str = b"", **how: Any) -> Answer:
    return lambda visitor: send(visitor, body, **how)


def redirect(location: str, status: int = 302) -> Answer:
    return page(status=status, Location=location)


def endless(visitor: Visitor) -> None:
    """A page without an end, as fast as it is read."""
    visitor.send_response(200)
    visitor.send_header("Content-Type", "text/html")
    visitor.end_headers()
    while not visitor.server.closing.is_set():
        visitor.wfile.write(b"and on and on " * 500)


def drip(visitor: Visitor) -> None:
    """A byte now and then, so that no single read ever times out."""
    visitor.send_response(200)
    visitor.send_header("Content-Type", "text/html")
    visitor.end_headers()
    while not visitor.server.closing.wait(0.05):
        visitor.wfile.write(b".")


def drip_headers(visitor: Visitor) -> None:
    """The same, but the headers never end either."""
    visitor.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not visitor.server.closing.wait(0.05):
        visitor.wfile.write(b"X-More: x\r\n")


def in_turn(*answers: Answer) -> Answer:
    """The first answer to the first visitor, and so on; the last one to all others."""
    waiting = list(answers)
    return lambda visitor: (waiting.pop(0) if len(waiting) > 1 else waiting[0])(visitor)
