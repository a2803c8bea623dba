"""Signing in: what counts as a failure, and that nobody can slow others down with it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from tests.people import PASSWORD, People
from triage import accounts
from triage.db import Event, User
from triage.db.session import transaction

NOW = datetime.now(UTC)


def try_to_sign_in(username: str, password: str, now: datetime = NOW) -> str | None:
    with transaction() as session:
        return accounts.sign_in(session, username=username, password=password, now=now, hours=1)


def events(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(Event)) or 0


@contextmanager
def hashing_waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Sign-ins stop while they hash until the block ends; the event is set once one does."""
    begun, go_on = threading.Event(), threading.Event()

    class Waits(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            begun.set()
            assert go_on.wait(20)
            return super().verify(hash, password)

    monkeypatch.setattr(accounts, "_hasher", Waits())
    try:
        yield begun
    finally:
        go_on.set()


@pytest.mark.parametrize("username", ["morgan", "nobody", "mor\0gan", "\ud800"])
@pytest.mark.parametrize("password", ["wrong", "wrong\0", "\ud800"])
def test_what_cannot_be_a_name_or_a_password_is_a_failed_sign_in(username: str, password: str, people: People) -> None:
    assert try_to_sign_in(username, password) is None


def test_nul_in_the_form_is_answered_like_any_wrong_password(client: TestClient, people: People) -> None:
    answers = [
        client.post("/sign-in", data={"username": username, "password": password})
        for username, password in (("morgan", "wrong"), ("mor\0gan", "wrong"), ("morgan", "\0"))
    ]

    assert [answer.status_code for answer in answers] == [422, 422, 422]


def test_nobody_waits_for_a_row_while_a_password_is_hashed(
    people: People, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = threading.Thread(target=try_to_sign_in, args=("morgan", "wrong"))
    with hashing_waits(monkeypatch) as begun:
        attempt.start()
        assert begun.wait(20)

        session.execute(text("SET LOCAL lock_timeout = '100ms'"))
        session.scalars(select(User).where(User.username == "morgan").with_for_update()).one()
        session.rollback()
    attempt.join(20)


def test_account_that_is_locked_while_its_password_is_hashed_stays_shut(
    people: People, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[str | None] = []
    attempt = threading.Thread(target=lambda: tokens.append(try_to_sign_in("morgan", PASSWORD)))
    with hashing_waits(monkeypatch) as begun:
        attempt.start()
        assert begun.wait(20)
        people.moderator.locked_until = NOW + timedelta(minutes=1)
        session.commit()
    attempt.join(20)

    assert tokens == [None]


def test_ten_failures_lock_and_the_lock_ends(people: People, session: Session) -> None:
    for _ in range(10):
        assert try_to_sign_in("morgan", "wrong") is None

    assert try_to_sign_in("morgan", PASSWORD) is None
    assert try_to_sign_in("morgan", PASSWORD, NOW + timedelta(minutes=16))


def test_locked_account_writes_no_events(people: People, session: Session) -> None:
    for _ in range(10):
        try_to_sign_in("morgan", "wrong")
    before = events(session)

    for _ in range(3):
        try_to_sign_in("morgan", "wrong")

    assert events(session) == before


def test_unknown_locked_and_wrong_take_as_long(people: People, session: Session) -> None:
    people.second_moderator.locked_until = NOW + timedelta(minutes=15)
    session.commit()

    def seconds(username: str) -> float:
        began = perf_counter()
        try_to_sign_in(username, "wrong")
        return perf_counter() - began

    names = ("nobody", people.second_moderator.username, "morgan")
    rounds = [[seconds(name) for name in names] for _ in range(7)]
    unknown, locked, wrong = (median(taken) for taken in zip(*rounds, strict=True))

    assert max(unknown, locked, wrong) < 2 * min(unknown, locked, wrong)


def test_few_passwords_are_hashed_at_once(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = threading.Lock()
    now = most = 0

    class Counts(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            nonlocal now, most
            with counted:
                now += 1
                most = max(most, now)
            try:
                return super().verify(hash, password)
            finally:
                with counted:
                    now -= 1

    monkeypatch.setattr(accounts, "_hasher", Counts())
    attempts = [threading.Thread(target=try_to_sign_in, args=("morgan", "wrong")) for _ in range(8)]
    for attempt in attempts:
        attempt.start()
    for attempt in attempts:
        attempt.join(30)

    assert most == 2
