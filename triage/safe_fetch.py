"""Fetch one public page without being led anywhere else.

    FetchError
    ├── FetchRefused    our rules forbid it, or the page will not be had: trying again changes nothing
    └── FetchFailed     the other side or the network failed: trying again may help

A URL comes from outside, and so does every redirect. Checking the words of a URL is not enough: the name is
resolved here, the address is checked, and the connection goes to that very address, so a name that resolves
to something else a moment later gains nothing. Every redirect passes the same checks. Size and time are
bounded while reading. No cookies, no log-in, no proxy from the environment. Errors carry a code, never a URL
and nothing of the page.
"""

import ipaddress
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import httpcore

from triage.domain.errors import TriageError

USER_AGENT = "TriageCapture/1.0 (reads one reported public page for human review; no crawling)"
MAX_REDIRECTS = 5
CONTENT_TYPES = frozenset({"text/html", "text/plain", "application/json"})
#: Headers that say something about the page as evidence. Never Set-Cookie.
_KEPT_HEADERS = frozenset(
    {"age", "content-encoding", "content-language", "content-length", "content-type", "date", "etag"}
    | {"last-modified", "server", "via"}
)
_HOST = re.compile(r"[a-z0-9._:-]+")
_MAX_URL = 2000
_MAX_HEADER = 500
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WORTH_RETRYING = frozenset({408, 425, 429})
_PORTS = frozenset({80, 443})
#: Everything that may stand in the path or query of a URL; the rest, spaces and newlines included, is escaped.
_SAFE = "%/:?#[]@!$&'()*+,;=-._~"

Address = IPv4Address | IPv6Address


class Problem(StrEnum):
    """Why a page was not had. Stored with the capture; ``triage.capture`` puts it into words."""

    BAD_URL = "bad_url"
    HOST_NOT_ALLOWED = "host_not_allowed"
    PORT_NOT_ALLOWED = "port_not_allowed"
    PRIVATE_ADDRESS = "private_address"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    TOO_LARGE = "too_large"
    TYPE_NOT_ALLOWED = "type_not_allowed"
    NEEDS_LOG_IN = "needs_log_in"
    GONE = "gone"
    NOT_SERVED = "not_served"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    CERTIFICATE = "certificate"
    SERVER_ERROR = "server_error"
    BROKEN_ANSWER = "broken_answer"


class FetchError(TriageError):
    """A page was not had; ``problem`` says why."""

    status = 422
    title = "The page could not be fetched"

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"The page could not be fetched: {problem}", field="url")
        self.problem = problem


class FetchRefused(FetchError):
    """Trying again changes nothing."""


class FetchFailed(FetchError):
    """Trying again may help."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One page as it was served. ``content`` is what came, less a gzip wrapping; ``fetched_at`` is aware UTC."""

    final_url: str
    status: int
    content_type: str
    charset: str | None
    headers: dict[str, str]
    content: bytes
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that passed the checks which need no network."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        netloc = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{netloc}{'' if self.port == default else f':{self.port}'}{self.path}"


def check(url: str, *, allowed_hosts: Collection[str], allow_private: bool = False) -> Target:
    """Check what can be checked without the network: scheme, host, port, no password.

    Raises:
        FetchRefused
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        host = (parts.hostname or "").rstrip(".").encode("idna").decode("ascii").lower()
        path = quote(urlunsplit(("", "", parts.path or "/", parts.query, "")), safe=_SAFE)
    except ValueError:
        raise FetchRefused(Problem.BAD_URL) from None
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or "@" in parts.netloc or len(url) > _MAX_URL:
        raise FetchRefused(Problem.BAD_URL)
    if not is_allowed(host, allowed_hosts):
        raise FetchRefused(Problem.HOST_NOT_ALLOWED)
    port = port or {"http": 80, "https": 443}[parts.scheme]
    if port not in _PORTS and not allow_private:
        raise FetchRefused(Problem.PORT_NOT_ALLOWED)
    return Target(parts.scheme, host, port, path)


def is_allowed(host: str, allowed_hosts: Collection[str]) -> bool:
    """Whether a host, or a parent of it, is on the list."""
    return any(host == allowed or host.endswith(f".{allowed}") for allowed in allowed_hosts)


def fetch(url: str, *, allowed_hosts: Collection[str], allow_private: bool, max_bytes: int, seconds: float) -> Fetched:
    """Fetch one page.

    Args:
        allow_private: also connect to this very machine (loopback, any port): for tests and demonstrations.
        max_bytes: of the content after decompression, and of what is received.
        seconds: for all of it: names, connections, redirects and reading.

    Raises:
        FetchRefused, FetchFailed
    """
    deadline = time.monotonic() + seconds
    backend = _GuardedBackend(deadline, allow_private=allow_private)
    target = check(url, allowed_hosts=allowed_hosts, allow_private=allow_private)
    # One connection for each hop, never kept: nothing may be carried from one host to the next.
    with httpcore.ConnectionPool(
        ssl_context=httpcore.default_ssl_context(), max_keepalive_connections=0, network_backend=backend
    ) as pool:
        for _ in range(MAX_REDIRECTS + 1):
            answer = _get(pool, target, max_bytes)
            if isinstance(answer, Fetched):
                return answer
            onward = _joined(target.url, answer.location)
            target = check(onward, allowed_hosts=allowed_hosts, allow_private=allow_private)
    raise FetchRefused(Problem.TOO_MANY_REDIRECTS)


@dataclass(frozen=True, slots=True)
class _Redirect:
    location: str


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location)
    except ValueError:
        raise FetchRefused(Problem.BAD_URL) from None


def _get(pool: httpcore.ConnectionPool, target: Target, max_bytes: int) -> Fetched | _Redirect:
    headers: dict[bytes | str, bytes | str] = {
        "User-Agent": USER_AGENT,
        "Accept": ", ".join(sorted(CONTENT_TYPES)),
        "Accept-Encoding": "gzip",
        "Accept-Language": "en-GB, en;q=0.8",
        "Connection": "close",
    }
    url = httpcore.URL(
        scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
    )
    try:
        with pool.stream("GET", url, headers=headers) as response:
            return _read(response, target, max_bytes)
    except httpcore.TimeoutException:
        raise FetchFailed(Problem.TIMEOUT) from None
    except httpcore.ProtocolError:
        raise FetchFailed(Problem.BROKEN_ANSWER) from None
    except httpcore.NetworkError as error:
        # httpcore passes the socket's error on as the argument of its own.
        untrusted = any(isinstance(argument, ssl.SSLCertVerificationError) for argument in error.args)
        raise FetchFailed(Problem.CERTIFICATE if untrusted else Problem.CONNECTION) from None


def _read(response: httpcore.Response, target: Target, max_bytes: int) -> Fetched | _Redirect:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    if response.status in _REDIRECTS:
        return _Redirect(quote(headers.get("location", "").encode("latin-1"), safe=_SAFE))
    _check_status(response.status)
    content_type, charset = _media_type(headers.get("content-type", ""))
    if content_type not in CONTENT_TYPES:
        raise FetchRefused(Problem.TYPE_NOT_ALLOWED)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise FetchRefused(Problem.TYPE_NOT_ALLOWED)
    received = _bounded(response.iter_stream(), max_bytes)
    content = b"".join(_unzipped(received, max_bytes) if encoding.endswith("gzip") else received)
    return Fetched(
        final_url=target.url,
        status=response.status,
        content_type=content_type,
        charset=charset,
        headers={name: headers[name][:_MAX_HEADER] for name in sorted(_KEPT_HEADERS & headers.keys())},
        content=content,
        fetched_at=datetime.now(UTC),
    )


def _check_status(status: int) -> None:
    if status == 200:
        return
    if status >= 500 or status in _WORTH_RETRYING:
        raise FetchFailed(Problem.SERVER_ERROR)
    if status in (401, 403, 407):
        raise FetchRefused(Problem.NEEDS_LOG_IN)
    raise FetchRefused(Problem.GONE if status in (404, 410) else Problem.NOT_SERVED)


def _media_type(header: str) -> tuple[str, str | None]:
    """('text/html', 'utf-8') of ``text/html; charset="UTF-8"``."""
    media_type, *parameters = (part.strip().lower() for part in header.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return media_type, value.strip().strip("\"'") or None
    return media_type, None


def _bounded(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise FetchRefused(Problem.TOO_LARGE)
        yield chunk


def _unzipped(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Unpack, never more than one byte past the limit: a small page may unpack to gigabytes."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    size = 0
    for chunk in chunks:
        try:
            unpacked = unpacker.decompress(chunk, max_bytes - size + 1)
        except zlib.error:
            raise FetchFailed(Problem.BROKEN_ANSWER) from None
        size += len(unpacked)
        if size > max_bytes:
            raise FetchRefused(Problem.TOO_LARGE)
        yield unpacked
    if not unpacker.eof or unpacker.unused_data:
        raise FetchFailed(Problem.BROKEN_ANSWER)


def may_connect(address: Address, *, allow_private: bool) -> bool:
    """Whether an address is out on the public internet (or, for tests, on this very machine)."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is not None:
            return may_connect(inner, allow_private=allow_private)
        if address in _NAT64:  # stands for the IPv4 address in its last four bytes
            return may_connect(IPv4Address(int(address) & 0xFFFFFFFF), allow_private=allow_private)
        if address in _LOCAL_NAT64 or address.is_site_local:
            return False
    if allow_private and address.is_loopback:
        return True
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")


@dataclass
class _GuardedBackend(httpcore.NetworkBackend):
    """Resolves a name, checks every address it gives, and connects to the checked address itself."""

    deadline: float
    allow_private: bool = field(kw_only=True)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _resolved(host, port, _left(self.deadline))
        # All of them, not only the one chosen: a name that also points inside is not a public site's.
        if not all(may_connect(address, allow_private=self.allow_private) for address in addresses):
            raise FetchRefused(Problem.PRIVATE_ADDRESS)
        for i, address in enumerate(addresses):
            try:
                stream = httpcore.SyncBackend().connect_tcp(str(address), port, timeout=_left(self.deadline))
            except httpcore.ConnectError:
                if i == len(addresses) - 1:
                    raise
            else:
                return _DeadlineStream(stream, self.deadline)
        raise httpcore.ConnectError

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        raise FetchRefused(Problem.PRIVATE_ADDRESS)


@dataclass
class _DeadlineStream(httpcore.NetworkStream):
    """Gives each read and write only what is left of the whole time, so that a slow drip ends too."""

    stream: httpcore.NetworkStream
    deadline: float

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, timeout=_left(self.deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, timeout=_left(self.deadline))

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self.stream.start_tls(ssl_context, server_hostname, timeout=_left(self.deadline))
        return _DeadlineStream(inner, self.deadline)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise FetchFailed(Problem.TIMEOUT)
    return left


def _resolved(host: str, port: int, seconds: float) -> list[Address]:
    """The addresses of a host. The system's resolver knows no time limit, so it works in a thread of its own."""
    found: list[list[Any]] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            found.append([])

    thread = threading.Thread(target=look_up, name="resolver", daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        raise FetchFailed(Problem.TIMEOUT)
    addresses = [ipaddress.ip_address(entry[4][0]) for entry in found[0]]
    if not addresses:
        raise FetchFailed(Problem.CONNECTION)
    return list(dict.fromkeys(addresses))
