"""Referral documents of fixed, invented rows, for the golden files in ``tests/data/exports``.

After a change of the format on purpose: ``python -m tests.golden`` writes the files anew; read the difference.
"""

import json
import uuid
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from triage.db import Capture, Case, Decision, Judgement, Partner, Post, Referral, User
from triage.domain.legal import LegalBasis
from triage.formats import csv_format, document
from triage.formats.sources import Sources

FOLDER = Path(__file__).parent / "data" / "exports"
NOW = datetime(2026, 11, 20, 15, 4, 5, tzinfo=UTC)
LAW = LegalBasis(
    id="oapa-1861-s16",
    act="Offences against the Person Act 1861",
    section="s.16",
    title="Threats to kill",
    jurisdiction="England and Wales",
    in_force_from=None,
    in_force_to=None,
    last_reviewed=date(2026, 8, 1),
    verified=True,
    note="",
)
GROUNDS: dict[str, Any] = {
    "recipient_id": str(uuid.UUID(int=7)),
    "statement_of_reasons": "The post says when and where somebody will be hurt.",
    "causal_path": "Those addressed are told to bring others; a fight at the stop is likely.",
    "facts": "The words name a stop and a time.",
    "proportionality": "One post is named, and a review of it asked for.",
    "likelihood": "likely",
    "necessity": "The time named is this afternoon.",
    "least_intrusive": "A label would not reach the person addressed in time.",
    "requested_action": "review",
    "platform_policy_clause": "Violent speech, clause 2",
    "legal_basis": [],
    "primary_signals": [],
    "secondary_signals": [],
    "secondary_source": "",
    "secondary_sources": [],
    "past_event": "none",
    "past_event_month": "",
    "past_event_evidence": "",
    "context_rebuttal": "",
    "possible_child": "unknown",
    "safeguarding_considered": True,
    "safeguarding_note": "A note that stays inside.",
}


def _user(number: int, pseudonym: str) -> User:
    return User(id=uuid.UUID(int=number), username="never", display_name="Never Shown", pseudonym=pseudonym)


def sources(**changes: Any) -> Sources:
    """Rows of a referral under the platform's terms; ``changes`` replace whole rows or figures."""
    rows: dict[str, Any] = {
        "referral": Referral(id=uuid.UUID(int=1), number=5001),
        "case": Case(id=uuid.UUID(int=2), report_count=2, received_at=datetime(2026, 11, 20, 14, tzinfo=UTC),
                     assessed=True, tier="P0", risk=0.97),
        "post": post(),
        "decision": decision(),
        "judgement": Judgement(codes=["TTL"], speech_act="threat", target="identifiable_small_group",
                               imminence="imminent", contexts=[]),
        "capture": None,
        "recipient": Partner(id=uuid.UUID(int=7), name="Chirper", kind="platform", country="GB"),
        "reviewer": _user(8, "R-0000000A"),
        "approver": _user(9, "R-0000000B"),
        "second_reader": None,
        "legal_bases": [],
        "purposes": ["prevention_of_serious_violence"],
        "detected_by_platform": False,
        "pipeline_version": "2026-11-22+abc",
        "dissent": False,
        "supersedes_id": None,
        "log_head": "ab" * 32,
        "authority_name": "Demonstration authority",
        "authority_contact": "triage@demonstration.example",
        "export_id": uuid.UUID(int=3),
        "now": NOW,
    }  # fmt: skip
    return Sources(**(rows | changes))


def post(**changes: Any) -> Post:
    """The invented post. Its author's handle must never leave."""
    columns = {
        "id": uuid.UUID(int=4),
        "platform": "chirper",
        "platform_post_id": "c-100",
        "url": "https://chirper.example/p/c-100",
        "text": "=half three at the stop, bring your lot – you'll need them 🔪\nno chatting",
        "text_sha256": "cd" * 32,
        "author_handle": "@never_shown",
        "posted_at": datetime(2026, 11, 20, 13, 30, tzinfo=UTC),
        "language": "en",
    }
    return Post(**(columns | changes))


def decision(codes: tuple[str, ...] = ("TTL",), **grounds: Any) -> Decision:
    return Decision(
        codes=list(codes),
        reasons="Internal notes of the reviewer, which never leave",
        referral=GROUNDS | grounds,
        policy_version="2026-11-22.1",
        taxonomy_version="2026-11-22",
    )


def against_terms() -> dict[str, Any]:
    """Lawful as far as anybody says, against the platform's terms."""
    return document.build(sources())


def against_law() -> dict[str, Any]:
    """A veiled threat in a lyric, with a legal basis, both signals, a rebuttal and a stored page."""
    return document.build(
        sources(
            decision=decision(
                ("VTH", "VIC"),
                legal_basis=["oapa-1861-s16"],
                platform_policy_clause="",
                primary_signals=["retaliation_language"],
                secondary_signals=["target_feels_threatened"],
                secondary_source="A person who must not be named here",
                secondary_sources=["target"],
                context_rebuttal="The person addressed has asked for help since it was posted.",
                possible_child="yes",
                requested_action="preserve",
            ),
            judgement=Judgement(
                codes=["VTH", "VIC"],
                speech_act="threat",
                target="named_or_identifiable_person",
                imminence="near",
                contexts=["artistic"],
            ),
            capture=Capture(
                sha256="ef" * 32,
                size_bytes=1234,
                captured_at=datetime(2026, 11, 20, 14, 10, tzinfo=UTC),
                method="http_get",
                tool_version="1",
            ),
            post=post(posted_at=None, platform_post_id=None, language=None),
            legal_bases=[LAW],
            second_reader=_user(10, "R-0000000C"),
            dissent=True,
            supersedes_id=uuid.UUID(int=5),
            detected_by_platform=True,
        )
    )


DOCUMENTS = {"terms": against_terms, "law": against_law}


def main() -> None:
    for name, make in DOCUMENTS.items():
        made = make()
        text = json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False)
        (FOLDER / f"referral-{name}.json").write_text(f"{text}\n", encoding="utf-8")
        (FOLDER / f"referral-{name}.csv").write_bytes(csv_format.render(made))


if __name__ == "__main__":
    main()
