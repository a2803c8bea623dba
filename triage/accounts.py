"""People, partners and how they prove who they are."""

import hashlib
import secrets
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import Session

from triage import audit
from triage.audit import Actor, Entry
from triage.db import ApiKey, Partner, PartnerUsage, User, UserSession
from triage.domain.errors import Conflict, Forbidden, InvalidInput, NotAuthenticated, QuotaExceeded
from triage.domain.words import ActorKind, Operation, PartnerKind, Role

MIN_PASSWORD = 12
_MAX_FAILURES = 10
_LOCK_TIME = timedelta(minutes=15)
_hasher = PasswordHasher()
#: Verified against when the user does not exist, so that the answer takes as long.
_NOBODY = _hasher.hash(secrets.token_urlsafe(16))
#: Each hash takes 64 MiB and four threads on purpose; more at once would starve everybody else in the process.
_hashing = threading.BoundedSemaphore(2)


def actor_of(user: User) -> Actor:
    return Actor(ActorKind.USER, str(user.id), tuple(user.roles))


def partner_actor(partner: Partner) -> Actor:
    return Actor(ActorKind.PARTNER, str(partner.id))


def require(user: User, *roles: Role) -> None:
    """Raises Forbidden unless the user holds one of ``roles``."""
    if not set(user.roles) & set(roles):
        raise Forbidden(f"This needs the role {' or '.join(roles)}")


def create_user(
    session: Session, actor: Actor, *, username: str, display_name: str, password: str, roles: Iterable[Role]
) -> User:
    """Add a person.

    Raises:
        InvalidInput: the password is too short or no role is given.
        Conflict: the username is taken.
    """
    wanted = sorted({str(role) for role in roles})
    if len(password) < MIN_PASSWORD:
        raise InvalidInput(f"Use at least {MIN_PASSWORD} characters", field="password")
    if not wanted:
        raise InvalidInput("Give at least one role", field="roles")
    if session.scalar(select(User.id).where(User.username == username)):
        raise Conflict(f"The username {username} is taken", field="username")
    user = User(
        username=username,
        display_name=display_name,
        pseudonym=f"R-{secrets.token_hex(4).upper()}",
        password_hash=_hasher.hash(password),
        roles=wanted,
    )
    session.add(user)
    session.flush()
    audit.record(session, actor, Entry(Operation.SYSTEM, "user.created", "user", str(user.id), data={"roles": wanted}))
    return user


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser's session: who, and the token its forms must carry."""

    user: User
    csrf_token: str


def sign_in(session: Session, *, username: str, password: str, now: datetime, hours: int) -> str | None:
    """Open a session; returns the cookie's value, or ``None`` when name and password do not match.

    The failure is counted in the same transaction, so the caller commits either way. Ten failures lock the
    account for a quarter of an hour. The password is hashed before the row is locked, and once whatever the answer:
    an unknown name, a locked account and a wrong password take as long.
    """
    seen = _user_named(session, username)
    known = None if seen is None or _is_locked(seen, now) else seen.password_hash
    matches = _password_matches(known, password)
    if known is None:
        return None
    user = _user_named(session, username, lock=True)
    if user is None or _is_locked(user, now) or user.password_hash != known:  # it happened while we hashed
        return None
    if not matches:
        user.failed_sign_ins += 1
        if user.failed_sign_ins >= _MAX_FAILURES:
            user.locked_until, user.failed_sign_ins = now + _LOCK_TIME, 0
        audit.record(session, actor_of(user), Entry(Operation.SYSTEM, "user.sign_in_failed", "user", str(user.id)))
        return None
    user.failed_sign_ins, user.locked_until = 0, None
    return _open_session(session, user, expires_at=now + timedelta(hours=hours))


def _open_session(session: Session, user: User, *, expires_at: datetime) -> str:
    token = secrets.token_urlsafe(32)
    session.add(
        UserSession(
            token_sha256=_sha256(token),
            user_id=user.id,
            csrf_token=secrets.token_urlsafe(24),
            expires_at=expires_at,
        )
    )
    audit.record(session, actor_of(user), Entry(Operation.SYSTEM, "user.signed_in", "user", str(user.id)))
    return token


def _user_named(session: Session, username: str, *, lock: bool = False) -> User | None:
    """The user of this name, as the database has it now; with ``lock``, until the caller's commit."""
    if not _is_storable(username):
        return None
    query = select(User).where(User.username == username, User.active)
    return session.scalar(query.with_for_update() if lock else query, execution_options={"populate_existing": True})


def _is_locked(user: User, now: datetime) -> bool:
    return user.locked_until is not None and user.locked_until > now


def _password_matches(password_hash: str | None, password: str) -> bool:
    """Hashes once, also for nobody (``None``) and for what cannot be a password."""
    usable = _is_storable(password)
    with _hashing:
        try:
            _hasher.verify(password_hash or _NOBODY, password if usable else "")
        except (VerifyMismatchError, InvalidHashError):
            return False
    return usable and password_hash is not None


def _is_storable(typed: str) -> bool:
    """PostgreSQL stores no NUL, and a lone surrogate is in no encoding."""
    return "\0" not in typed and not any("\ud800" <= character <= "\udfff" for character in typed)


def signed_in(session: Session, token: str, *, now: datetime) -> SignedIn:
    """Whose session a cookie is.

    Raises:
        NotAuthenticated: unknown, expired, or the account was closed.
    """
    row = session.execute(
        select(User, UserSession.csrf_token)
        .join(UserSession, UserSession.user_id == User.id)
        .where(UserSession.token_sha256 == _sha256(token), UserSession.expires_at > now, User.active)
    ).first()
    if row is None:
        raise NotAuthenticated("Sign in to continue")
    return SignedIn(user=row[0], csrf_token=row[1])


def sign_out(session: Session, token: str) -> None:
    session.execute(delete(UserSession).where(UserSession.token_sha256 == _sha256(token)))


def create_partner(
    session: Session,
    actor: Actor,
    *,
    name: str,
    kind: PartnerKind,
    quota_per_day: int = 100_000,
    score_quota_per_day: int = 100_000,
    country: str = "GB",
) -> Partner:
    """Add an organisation. Raises Conflict when the name is taken."""
    if session.scalar(select(Partner.id).where(Partner.name == name)):
        raise Conflict(f"There is a partner called {name}", field="name")
    partner = Partner(
        name=name,
        kind=str(kind),
        quota_per_day=quota_per_day,
        score_quota_per_day=score_quota_per_day,
        country=country,
    )
    session.add(partner)
    session.flush()
    audit.record(session, actor, Entry(Operation.SYSTEM, "partner.created", "partner", str(partner.id)))
    return partner


def issue_key(session: Session, actor: Actor, partner_id: uuid.UUID, *, now: datetime) -> str:
    """Give a partner its key, and revoke the one it had. The key is returned once and not kept."""
    session.execute(
        update(ApiKey).where(ApiKey.partner_id == partner_id, ApiKey.revoked_at.is_(None)).values(revoked_at=now)
    )
    key = f"tk_{secrets.token_urlsafe(32)}"
    session.add(ApiKey(partner_id=partner_id, prefix=key[:8], sha256=_sha256(key)))
    audit.record(session, actor, Entry(Operation.SYSTEM, "key.issued", "partner", str(partner_id)))
    return key


def partner_of_key(session: Session, key: str) -> Partner:
    """Whose key this is.

    Raises:
        NotAuthenticated: unknown or revoked, or the partner is closed.
    """
    partner = session.scalar(
        select(Partner)
        .join(ApiKey, ApiKey.partner_id == Partner.id)
        .where(ApiKey.sha256 == _sha256(key), ApiKey.revoked_at.is_(None), Partner.active)
    )
    if partner is None:
        raise NotAuthenticated("Unknown or revoked API key; send it as `Authorization: Bearer <key>`")
    return partner


def use_quota(session: Session, partner: Partner, *, reports: int, now: datetime) -> None:
    """Count ``reports`` against today's quota. Call it last: the row stays locked until the commit.

    Raises:
        QuotaExceeded: the day's quota does not allow that many; nothing is counted.
    """
    statement = _count(partner, now, reports=reports)
    _check_quota(session.scalar(statement.returning(PartnerUsage.reports)), partner.quota_per_day, "reports", now)


def use_score_quota(session: Session, partner: Partner, *, texts: int, now: datetime) -> None:
    """Count ``texts`` that are scored against today's quota, which is not that of reports.

    Raises:
        QuotaExceeded: the day's quota does not allow that many; nothing is counted.
    """
    statement = _count(partner, now, scores=texts)
    _check_quota(session.scalar(statement.returning(PartnerUsage.scores)), partner.score_quota_per_day, "scores", now)


def _count(partner: Partner, now: datetime, **more: int) -> Insert:
    """The statement that adds to today's numbers."""
    statement = insert(PartnerUsage).values(partner_id=partner.id, day=now.date(), **more)
    return statement.on_conflict_do_update(
        index_elements=[PartnerUsage.partner_id, PartnerUsage.day],
        set_={name: PartnerUsage.__table__.c[name] + statement.excluded[name] for name in more},
    )


def _check_quota(used: int | None, quota: int, of_what: str, now: datetime) -> None:
    if used is not None and used > quota:
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), tzinfo=now.tzinfo)
        raise QuotaExceeded(
            f"The quota of {quota} {of_what} a day is used up; it starts again at 00:00 UTC",
            retry_after=max(1, int((midnight - now).total_seconds())),
        )


def set_quotas(
    session: Session, actor: Actor, partner_id: uuid.UUID, *, reports: int | None = None, scores: int | None = None
) -> None:
    """Change how many reports, or texts scored, a partner may send in a day; ``None`` leaves it as it is."""
    new = {"quota_per_day": reports, "score_quota_per_day": scores}
    changed = {name: value for name, value in new.items() if value is not None}
    if changed:
        session.execute(update(Partner).where(Partner.id == partner_id).values(changed))
        entry = Entry(Operation.SYSTEM, "partner.quota_changed", "partner", str(partner_id), data=changed)
        audit.record(session, actor, entry)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def purge_expired_sessions(session: Session, *, now: datetime) -> int:
    """Forget sessions that ended; returns how many."""
    gone = session.scalars(
        delete(UserSession).where(UserSession.expires_at < now).returning(UserSession.token_sha256)
    ).all()
    return len(gone)
