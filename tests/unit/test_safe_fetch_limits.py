"""How much a fetch takes from a site: bytes, seconds, redirects, types; and what it gives away."""

import gzip
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local_site import Site, Visitor, drip, drip_headers, endless, page, redirect, serve
from triage import safe_fetch
from triage.safe_fetch import USER_AGENT, Fetched, FetchError, FetchFailed, FetchRefused, Problem

CERTIFICATES = Path(__file__).parent.parent / "data" / "tls"


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


def fetch(url: str, *, max_bytes: int = 100_000, seconds: float = 10) -> Fetched:
    return safe_fetch.fetch(url, allowed_hosts={"localhost"}, allow_private=True, max_bytes=max_bytes, seconds=seconds)


def refusal(url: str, **limits: Any) -> Problem:
    with pytest.raises(FetchRefused) as refused:
        fetch(url, **limits)
    return refused.value.problem


def failure(url: str, **limits: Any) -> Problem:
    with pytest.raises(FetchFailed) as failed:
        fetch(url, **limits)
    return failed.value.problem


def test_page_comes_with_what_evidence_needs(site: Site) -> None:
    site.pages["/p"] = page("<p>hi</p>", type='Text/HTML; charset="UTF-8"', ETag="abc", Set_Cookie="track=1")

    fetched = fetch(site.url("/p"))

    assert fetched.content == b"<p>hi</p>"
    assert (fetched.status, fetched.content_type, fetched.charset) == (200, "text/html", "utf-8")
    assert fetched.final_url == site.url("/p")
    assert fetched.headers["etag"] == "abc"
    assert "set-cookie" not in fetched.headers
    assert fetched.fetched_at.tzinfo


def test_request_says_honestly_who_asks_and_carries_nothing_else(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    site.pages["/"] = page(status=302, Location="/next", Set_Cookie="track=1")
    site.pages["/next"] = page("hello")

    fetch(site.url("/"))

    assert [headers["User-Agent"] for headers in site.seen] == [USER_AGENT, USER_AGENT]
    allowed = {"host", "user-agent", "accept", "accept-encoding", "accept-language", "connection"}
    assert {name.lower() for headers in site.seen for name in headers} == allowed


def test_endless_page_is_cut_off(site: Site) -> None:
    site.pages["/"] = endless

    assert refusal(site.url("/"), max_bytes=50_000) is Problem.TOO_LARGE


def test_page_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(site: Site) -> None:
    site.pages["/fits"] = page(b"x" * 1000)
    site.pages["/over"] = page(b"x" * 1001)
    site.pages["/zipped"] = page(gzip.compress(b"x" * 1000), Content_Encoding="gzip")

    assert len(fetch(site.url("/fits"), max_bytes=1000).content) == 1000
    assert refusal(site.url("/over"), max_bytes=1000) is Problem.TOO_LARGE
    assert len(fetch(site.url("/zipped"), max_bytes=1000).content) == 1000


def test_gzip_bomb_is_cut_off(site: Site) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    site.pages["/"] = page(bomb, Content_Encoding="gzip")

    assert len(bomb) < 60_000
    tracemalloc.start()
    try:
        assert refusal(site.url("/"), max_bytes=60_000) is Problem.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 5_000_000  # it was never unpacked, not even for a moment
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"hello" * 99)[:-9], gzip.compress(b"a") + b"more"])
def test_broken_gzip_is_a_broken_answer(site: Site, body: bytes) -> None:
    site.pages["/"] = page(body, Content_Encoding="gzip")

    assert failure(site.url("/")) is Problem.BROKEN_ANSWER


@pytest.mark.parametrize("answer", [drip, drip_headers])
def test_slow_drip_ends_with_the_whole_time(site: Site, answer: Any) -> None:
    site.pages["/"] = answer
    began = time.monotonic()

    assert failure(site.url("/"), seconds=0.5) is Problem.TIMEOUT
    assert time.monotonic() - began < 2


def test_time_is_for_all_redirects_together(site: Site) -> None:
    def slow(visitor: Visitor) -> None:
        visitor.server.closing.wait(0.2)
        redirect("/")(visitor)

    site.pages["/"] = slow

    assert failure(site.url("/"), seconds=0.5) is Problem.TIMEOUT


@pytest.mark.parametrize("hops", [5, 6])
def test_five_redirects_are_followed_and_no_more(site: Site, hops: int) -> None:
    for hop in range(hops):
        site.pages[f"/{hop}"] = redirect(f"/{hop + 1}", status=(301, 302, 303, 307, 308)[hop % 5])
    site.pages[f"/{hops}"] = page("here")

    if hops == 5:
        assert fetch(site.url("/0")).final_url == site.url("/5")
    else:
        assert refusal(site.url("/0")) is Problem.TOO_MANY_REDIRECTS
        assert site.hits["/6"] == 0


@pytest.mark.parametrize("kind", ["image/png", "video/mp4", "application/octet-stream", "text/css", ""])
def test_other_types_are_refused_unread(site: Site, kind: str) -> None:
    site.pages["/"] = page(b"x" * 10, type=kind)

    assert refusal(site.url("/")) is Problem.TYPE_NOT_ALLOWED


def test_other_packing_is_refused(site: Site) -> None:
    site.pages["/"] = page(b"x", Content_Encoding="br")

    assert refusal(site.url("/")) is Problem.TYPE_NOT_ALLOWED


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, Problem.NEEDS_LOG_IN),
        (403, Problem.NEEDS_LOG_IN),
        (404, Problem.GONE),
        (410, Problem.GONE),
        (418, Problem.NOT_SERVED),
        (204, Problem.NOT_SERVED),
        (206, Problem.NOT_SERVED),
    ],
)
def test_status_that_stays_is_a_refusal(site: Site, status: int, expected: Problem) -> None:
    site.pages["/"] = page("x", status=status)

    assert refusal(site.url("/")) is expected


@pytest.mark.parametrize("status", [429, 500, 503])
def test_status_that_may_pass_is_a_failure(site: Site, status: int) -> None:
    site.pages["/"] = page("x", status=status)

    assert failure(site.url("/")) is Problem.SERVER_ERROR


@pytest.mark.parametrize(
    "raw",
    [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 99\r\n\r\nshort", b""],
)
def test_broken_answer_is_a_failure(site: Site, raw: bytes) -> None:
    def answer(visitor: Visitor) -> None:
        visitor.wfile.write(raw)

    site.pages["/"] = answer

    assert failure(site.url("/")) is Problem.BROKEN_ANSWER


def test_error_holds_no_url_and_nothing_of_the_page(site: Site) -> None:
    site.pages["/handle-of-somebody"] = page("words of the page", status=404)

    with pytest.raises(FetchError) as error:
        fetch(site.url("/handle-of-somebody"))

    assert str(error.value) == error.value.detail == "The page could not be fetched: gone"


def test_certificate_must_be_trusted_and_name_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(CERTIFICATES / "localhost.pem") as ours, serve(CERTIFICATES / "other.example.pem") as others:
        ours.pages["/"] = others.pages["/"] = page("over TLS")
        untrusted = failure(ours.url("/", scheme="https"))

        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "localhost.pem"))
        trusted = fetch(ours.url("/", scheme="https"))

        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "other.example.pem"))
        wrong_name = failure(others.url("/", scheme="https"))

    assert trusted.content == b"over TLS"
    assert untrusted is wrong_name is Problem.CERTIFICATE
    assert not others.hits
