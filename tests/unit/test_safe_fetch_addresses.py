"""Where a fetch may go: hosts, ports and, above all, addresses."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from tests.local_site import Site, page, redirect, serve
from triage import safe_fetch
from triage.safe_fetch import Fetched, FetchFailed, FetchRefused, Problem

HOSTS = frozenset({"chirper.example"})


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


def fetch(url: str, *hosts: str, allow_private: bool = False) -> Fetched:
    return safe_fetch.fetch(url, allowed_hosts=hosts, allow_private=allow_private, max_bytes=10_000, seconds=3)


def problem(url: str, *hosts: str, allow_private: bool = False) -> Problem:
    with pytest.raises(FetchRefused) as refused:
        fetch(url, *hosts, allow_private=allow_private)
    return refused.value.problem


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
        "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1",
        "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)  # fmt: skip
def test_inner_address_is_never_connected_to(address: str) -> None:
    assert not safe_fetch.may_connect(ip_address(address), allow_private=False)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_public_address_is_connected_to(address: str) -> None:
    assert safe_fetch.may_connect(ip_address(address), allow_private=False)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("169.254.169.254", False), ("fd00::1", False)],
)
def test_demonstration_setting_opens_this_machine_and_no_network(address: str, allowed: bool) -> None:
    assert safe_fetch.may_connect(ip_address(address), allow_private=True) is allowed


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://chirper.example/p/1", "https://chirper.example/p/1"),
        ("https://m.chirper.example/", "https://m.chirper.example/"),
        ("HTTP://CHIRPER.example.:80", "http://chirper.example/"),
        ("https://chirper.example/a b/é?q=ü&x=%20#part", "https://chirper.example/a%20b/%C3%A9?q=%C3%BC&x=%20"),
    ],
)
def test_listed_host_and_its_subdomains_pass(url: str, expected: str) -> None:
    assert safe_fetch.check(url, allowed_hosts=HOSTS).url == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://evil.example/", Problem.HOST_NOT_ALLOWED),
        ("https://notchirper.example/", Problem.HOST_NOT_ALLOWED),
        ("https://chirper.example.evil.example/", Problem.HOST_NOT_ALLOWED),
        ("https://127.0.0.1/", Problem.HOST_NOT_ALLOWED),
        ("https://chirper.example:8443/", Problem.PORT_NOT_ALLOWED),
        ("https://user:pass@chirper.example/", Problem.BAD_URL),
        ("https://chirper.example@evil.example/", Problem.BAD_URL),
        ("https://evil.example\\@chirper.example/", Problem.BAD_URL),
        ("https://evil.example\\.chirper.example/", Problem.BAD_URL),
        ("ftp://chirper.example/", Problem.BAD_URL),
        ("file:///etc/passwd", Problem.BAD_URL),
        ("javascript:alert(1)", Problem.BAD_URL),
        ("https://chirper.example:99999/", Problem.BAD_URL),
        ("https://[chirper.example/", Problem.BAD_URL),
        ("https:///p", Problem.BAD_URL),
        ("", Problem.BAD_URL),
        ("https://chirper.example/\ud800", Problem.BAD_URL),
        ("https://chirper.example/" + "x" * 2000, Problem.BAD_URL),
    ],
)
def test_other_urls_are_refused_without_the_network(url: str, expected: Problem) -> None:
    assert problem(url, *HOSTS) is expected


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "169.254.169.254",
        "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "[fe80::1]",
    ],
)  # fmt: skip
def test_listed_name_that_leads_inside_is_refused_at_connect(host: str) -> None:
    """The list is no protection: whatever a listed name resolves to is checked."""
    assert problem(f"http://{host}/", host.strip("[]")) is Problem.PRIVATE_ADDRESS


def test_redirect_to_another_host_is_refused(site: Site) -> None:
    site.pages["/"] = redirect("https://evil.example/")

    assert problem(site.url("/"), "localhost", allow_private=True) is Problem.HOST_NOT_ALLOWED


def test_redirect_to_this_machine_by_another_name_is_refused(site: Site) -> None:
    site.pages["/"] = redirect(site.url("/inner", host="127.0.0.1"))
    site.pages["/inner"] = page("secret")

    assert problem(site.url("/"), "localhost", allow_private=True) is Problem.HOST_NOT_ALLOWED
    assert site.hits["/inner"] == 0


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data/", "http://[::ffff:a9fe:a9fe]/"])
def test_redirect_to_an_inner_address_is_refused_even_if_listed(site: Site, target: str) -> None:
    site.pages["/"] = redirect(target)

    hosts = ("localhost", "169.254.169.254", "::ffff:a9fe:a9fe")
    assert problem(site.url("/"), *hosts, allow_private=True) is Problem.PRIVATE_ADDRESS


def test_redirect_with_a_password_or_to_a_file_is_refused(site: Site) -> None:
    site.pages["/password"] = redirect("http://user:pass@localhost/")
    site.pages["/file"] = redirect("file:///etc/passwd")

    assert problem(site.url("/password"), "localhost", allow_private=True) is Problem.BAD_URL
    assert problem(site.url("/file"), "localhost", allow_private=True) is Problem.BAD_URL


class Resolver:
    """Stands in for the system's resolver: its answers for names in turn, addresses as they are."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if not host.endswith(".example"):
            return self.real(host, port, *args, **kwargs)
        self.asked.append(host)
        answer = self.answers.pop(0)
        return [entry for address in answer for entry in self.real(address, port, *args, **kwargs)]


def test_name_is_resolved_once_and_the_checked_address_is_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its address between check and connection has nothing to change."""
    site.pages["/"] = page("hello")
    resolver = Resolver(["127.0.0.1"], ["169.254.169.254"])
    monkeypatch.setattr(socket, "getaddrinfo", resolver)

    fetched = fetch(site.url("/", host="rebind.example"), "rebind.example", allow_private=True)

    assert fetched.content == b"hello"
    assert resolver.asked == ["rebind.example"]
    assert site.seen[0]["Host"] == f"rebind.example:{site.server_port}"


def test_name_is_checked_again_at_a_redirect(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.pages["/"] = redirect("/again")
    monkeypatch.setattr(socket, "getaddrinfo", Resolver(["127.0.0.1"], ["169.254.169.254"]))

    assert problem(site.url("/", host="rebind.example"), "rebind.example", allow_private=True) is (
        Problem.PRIVATE_ADDRESS
    )


def test_name_that_also_points_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver(["93.184.216.34", "10.0.0.1"]))

    assert problem("http://mixed.example/", "mixed.example") is Problem.PRIVATE_ADDRESS


def test_second_address_is_tried_when_the_first_does_not_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.pages["/"] = page("hello")
    monkeypatch.setattr(socket, "getaddrinfo", Resolver(["127.0.0.2", "127.0.0.1"]))

    assert fetch(site.url("/", host="two.example"), "two.example", allow_private=True).content == b"hello"


def test_unknown_name_and_closed_port_are_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(FetchFailed) as failed:
            fetch(f"http://localhost:{closed.getsockname()[1]}/", "localhost", allow_private=True)
    assert failed.value.problem is Problem.CONNECTION

    monkeypatch.setattr(socket, "getaddrinfo", Resolver([]))
    with pytest.raises(FetchFailed) as failed:
        fetch("http://nowhere.example/", "nowhere.example")
    assert failed.value.problem is Problem.CONNECTION
