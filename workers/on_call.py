"""Delivers calls about threats to life, by webhook and by e-mail.

A thread of the schedule, so that a slow receiver delays nothing else.

A call carries the case's number, tier, deadline and where to look: never a word of the post, nor what anybody thinks of
it. It may arrive twice (we died before we could note that it arrived); its id says so.
"""

import hashlib
import hmac
import json
import logging
import smtplib
import ssl
import threading
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import httpcore
from sqlalchemy.exc import SQLAlchemyError

from triage import alerts
from triage.alerts import Due
from triage.db import clock
from triage.db.session import transaction
from triage.settings import Settings, current

logger = logging.getLogger(__name__)

#: How often it looks whether somebody is to be called.
_EVERY_SECONDS = 2.0
_PATIENCE_SECONDS = 10.0


class NotDelivered(Exception):
    """A receiver did not take a call. Says why, without the address: that may hold a secret."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a receiver is told."""

    id: str
    kind: str
    case: int
    tier: str
    received_at: str
    deadline_at: str | None
    step: int
    link: str | None


def run(stop: threading.Event) -> None:
    """Deliver until ``stop`` is set."""
    while not stop.wait(_EVERY_SECONDS):
        try:
            deliver_due()
        except SQLAlchemyError as error:  # the database is away or busy; the next turn tries again
            logger.warning("calls not delivered", extra={"reason": type(error).__name__})


def deliver_due() -> int:
    """Deliver what is due; returns how many calls everybody they were for has now. Sends outside any transaction."""
    with transaction() as session:
        waiting = alerts.claim_due(session, now=clock.now())
    delivered = 0
    for due in waiting:
        sent, failure = _deliver(due, current())
        with transaction() as session:
            alerts.settle(session, due, sent=sent, failure=failure, now=clock.now())
        if failure:
            logger.error("call not delivered", extra={"case": due.case_number, "step": due.step, "reason": failure})
        else:
            delivered += 1
            logger.info("call delivered", extra={"case": due.case_number, "step": due.step})
    return delivered


def _deliver(due: Due, settings: Settings) -> tuple[set[str], str | None]:
    """Who has it by now, and why the others have not."""
    steps = settings.on_call_steps
    if not steps:
        return set(), alerts.NOBODY
    call, sent, failures = _call(due, settings), set(due.sent), []
    for target in steps[min(due.step, len(steps) - 1)]:
        if _mark(target) in sent:
            continue
        try:
            _send(target, call, settings)
        except NotDelivered as error:
            failures.append(str(error))
        else:
            sent.add(_mark(target))
    return sent, "; ".join(failures) or None


def _mark(target: str) -> str:
    return hashlib.sha256(target.encode()).hexdigest()[:16]


def _call(due: Due, settings: Settings) -> Call:
    return Call(
        id=str(due.alert_id),
        kind="p0_opened" if due.step == 0 else "p0_unseen",
        case=due.case_number,
        tier=due.tier,
        received_at=due.received_at.isoformat(),
        deadline_at=due.deadline_at.isoformat() if due.deadline_at else None,
        step=due.step + 1,
        link=f"{settings.public_url.rstrip('/')}/cases/{due.case_id}" if settings.public_url else None,
    )


def _send(target: str, call: Call, settings: Settings) -> None:
    if target.startswith("mailto:"):
        _send_mail(unquote(target.removeprefix("mailto:")), call, settings)
    elif target.startswith(("https://", "http://")):
        _send_webhook(target, call, settings)
    else:
        raise NotDelivered("a target of TRIAGE_ON_CALL is neither https:// nor mailto:")


def _send_webhook(url: str, call: Call, settings: Settings) -> None:
    body = json.dumps({name: getattr(call, name) for name in Call.__slots__}).encode()
    headers: dict[bytes | str, bytes | str] = {
        "Host": urlsplit(url).netloc,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    if secret := settings.on_call_secret.get_secret_value():
        signed = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers["X-Triage-Signature"] = f"sha256={signed}"
    limits = dict.fromkeys(("connect", "read", "write", "pool"), _PATIENCE_SECONDS)
    try:
        with httpcore.ConnectionPool(ssl_context=ssl.create_default_context()) as pool:
            answer = pool.request("POST", url, headers=headers, content=body, extensions={"timeout": limits})
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
        raise NotDelivered(f"webhook: {type(error).__name__}") from None
    if not 200 <= answer.status < 300:  # a redirect is refused too: it may lead anywhere
        raise NotDelivered(f"webhook: answered {answer.status}")


def _send_mail(address: str, call: Call, settings: Settings) -> None:
    url = urlsplit(settings.smtp_url.get_secret_value())
    if not url.hostname:
        raise NotDelivered("e-mail: TRIAGE_SMTP_URL is empty")
    try:
        with closing(_connection(url.scheme, url.hostname, url.port)) as smtp:
            if url.username:
                smtp.login(unquote(url.username), unquote(url.password or ""))
            smtp.send_message(_message(address, call, settings))
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise NotDelivered(f"e-mail: {type(error).__name__}") from None


def _connection(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    """Encrypted, but to this very machine, where a mail server of its own may listen."""
    context = ssl.create_default_context()
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or 465, timeout=_PATIENCE_SECONDS, context=context)
    smtp = smtplib.SMTP(host, port or 587, timeout=_PATIENCE_SECONDS)
    if host not in ("localhost", "127.0.0.1", "::1"):
        smtp.starttls(context=context)
    return smtp


def _message(address: str, call: Call, settings: Settings) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = f"{call.tier}: case {call.case} " + (
        "waits for a first look" if call.step == 1 else f"still unseen (call {call.step})"
    )
    message["From"], message["To"] = settings.mail_from, address
    message["Message-ID"] = f"<{call.id}@triage>"
    lines = [f"Case {call.case} ({call.tier}), received {call.received_at}, due {call.deadline_at}."]
    lines += [f"Open it: {call.link}"] if call.link else []
    lines += ["", f"{settings.authority_name}. This message says nothing of the post on purpose."]
    message.set_content("\n".join(lines))
    return message
