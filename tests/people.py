"""The people of the tests. Passwords are invented and the same for all."""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from triage import accounts, audit
from triage.db import Partner, User
from triage.domain.words import PartnerKind, Role

PASSWORD = "correct horse battery"


@lru_cache(maxsize=1)
def password_hash() -> str:
    """Made once: a good password hash is slow on purpose."""
    return PasswordHasher().hash(PASSWORD)


@dataclass(frozen=True)
class People:
    """Everyone a test may need. ``outsider`` is signed in and may do nothing."""

    moderator: User
    second_moderator: User
    analyst: User
    approver: User
    outsider: User
    admin: User
    safeguarding: User
    scrutineer: User
    partner: Partner
    partner_key: str
    other_partner: Partner
    other_partner_key: str


def add_people(session: Session) -> People:
    actor = audit.system("tests")

    def user(username: str, *roles: Role) -> User:
        row = User(
            username=username,
            display_name=username.title(),
            pseudonym=f"R-{zlib.crc32(username.encode()):08X}",  # as real ones look: the export refuses names
            password_hash=password_hash(),
            roles=[str(role) for role in roles],
        )
        session.add(row)
        session.flush()
        return row

    def partner(name: str) -> tuple[Partner, str]:
        row = accounts.create_partner(session, actor, name=name, kind=PartnerKind.PLATFORM)
        return row, accounts.issue_key(session, actor, row.id, now=datetime.now(UTC))

    first, first_key = partner("Chirper")
    other, other_key = partner("Picstream")
    return People(
        moderator=user("morgan", Role.MODERATOR),
        second_moderator=user("sasha", Role.MODERATOR),
        analyst=user("alex", Role.ANALYST),
        approver=user("ada", Role.APPROVER),
        outsider=user("olly", Role.AUDITOR),
        admin=user("adel", Role.ADMIN),
        safeguarding=user("sid", Role.SAFEGUARDING),
        scrutineer=user("quinn", Role.SCRUTINEER),
        partner=first,
        partner_key=first_key,
        other_partner=other,
        other_partner_key=other_key,
    )
