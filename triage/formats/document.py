"""The referral document: what a recipient gets to know, and nothing else.

Left out on purpose, and refused by the schema: names and handles, ethnicity, belonging to a group, associates,
scores, internal notes, and everything about the reviewer but role and pseudonym.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from triage.db import Capture, Partner, Post
from triage.domain.errors import InvalidInput
from triage.domain.gates import NEVER_LEAVE, STATEMENTS, Grounds
from triage.domain.legal import LegalBasis
from triage.domain.taxonomy import CODES, PolicyCode
from triage.formats import json_format
from triage.formats.sources import Sources, grounds_of

_NOT_AN_ORDER = "This is not a legal order. Please assess independently under your own policies."
NATURE = {
    "voluntary_tos": f"{_NOT_AN_ORDER} It does not allege that the content breaks any law.",
    "voluntary_illegal": f"{_NOT_AN_ORDER} It gives the provision that the content is thought to engage; "
    "no court has decided so.",
}
_HANDLING = "Share only with those who assess this item. Not to be used as evidence without asking the issuer."
_PURPOSE = "To be used only to assess this item for the purposes given. Not for profiling or monitoring any person."
_RETENTION = "Delete when the item has been assessed and any appeal is closed, unless your law requires otherwise."
_REDRESS = (
    "The user may appeal through the platform's own procedure, complain to the issuing authority at the contact "
    "given, and complain to the Information Commissioner's Office (ico.org.uk)."
)
_BONA_FIDE = "A reviewer and a second person approved this referral in the good faith belief that it is accurate."
_ACCURACY = "Statements are tagged as fact or assessment. A correction reaches you as a recall of this referral."


def build(sources: Sources) -> dict[str, Any]:
    """The document, fitting ``referral.schema.json``.

    Raises:
        InvalidInput: it would not fit; names the place.
    """
    grounds = grounds_of(sources.decision)
    codes = _outgoing(sources.decision.codes)
    document = {
        "schema_version": json_format.SCHEMA_VERSION,
        "envelope": _envelope(sources, codes),
        "issuer": _issuer(sources),
        "recipient": _recipient(sources.recipient),
        "content": _content(sources.post, sources.capture),
        "assessment": _assessment(sources, grounds, codes),
        "automation": _automation(sources),
        "people": {
            "data_subject_category": "unknown",
            "possible_child": str(grounds.possible_child),
            "safeguarding_considered": grounds.safeguarding_considered,
        },
        "rights": {
            "user_notification": "allowed",
            "redress_info": _REDRESS,
            "bona_fide_statement": _BONA_FIDE,
            "accuracy_statement": _ACCURACY,
            "feedback_contact": sources.authority_contact,
        },
    }
    document["integrity"] = {
        "canonical_form": "RFC 8785",
        "payload_sha256": json_format.payload_sha256(document),
        "log_head_sha256": sources.log_head,
    }
    json_format.validate(document)
    return document


def _outgoing(codes: Sequence[str]) -> list[PolicyCode]:
    leaving = [CODES[code] for code in codes if CODES[code].referable not in NEVER_LEAVE]
    if not leaving:  # the gates rule this out for decisions made through the review
        raise InvalidInput("None of the confirmed codes may leave the house", field="codes")
    return leaving


def _severity(codes: Sequence[PolicyCode]) -> str:
    """The tier of the gravest code that people confirmed. The machine's tier stays inside."""
    return str(min(code.default_tier for code in codes))


def _envelope(sources: Sources, codes: Sequence[PolicyCode]) -> dict[str, Any]:
    kind = "voluntary_illegal" if sources.legal_bases else "voluntary_tos"
    return {
        "export_id": str(sources.export_id),
        "referral_id": str(sources.referral.id),
        "referral_number": sources.referral.number,
        "created_at": _utc(sources.now),
        "supersedes_id": str(sources.supersedes_id) if sources.supersedes_id else None,
        "referral_type": kind,
        "nature_statement": NATURE[kind],
        "urgency": _severity(codes),
        "security_marking": "OFFICIAL",
        "handling_conditions": _HANDLING,
        "purpose_limitation": {"purposes": sorted(sources.purposes), "statement": _PURPOSE},
        "retention_instruction": _RETENTION,
    }


def _issuer(sources: Sources) -> dict[str, Any]:
    return {
        "authority_name": sources.authority_name,
        "authority_country": "GB",
        "contact": sources.authority_contact,
        "officer": {"role": "reviewer", "pseudonym": sources.reviewer.pseudonym},
        "second_reader": _second_reader(sources),
        "approver": {
            "role": "approver",
            "pseudonym": sources.approver.pseudonym,
            "approved_at": _utc(sources.now),
        },
    }


def _second_reader(sources: Sources) -> dict[str, str] | None:
    if sources.second_reader is None:
        return None
    return {"role": "second_reader", "pseudonym": sources.second_reader.pseudonym}


def _recipient(partner: Partner) -> dict[str, Any]:
    return {
        "partner_id": str(partner.id),
        "name": partner.name,
        "kind": partner.kind,
        "country": partner.country,
        "channel": "api",
        "overseas_transfer_basis": "not_applicable" if partner.country == "GB" else "not_recorded",
    }


def _content(post: Post, capture: Capture | None) -> dict[str, Any]:
    return {
        "content_type": "text",
        "platform": post.platform,
        "platform_post_id": post.platform_post_id,
        "url": post.url,
        "posted_at": _utc(post.posted_at) if post.posted_at else "unknown",
        "language": post.language or "unknown",
        "text": post.text,
        "text_sha256": post.text_sha256,
        "capture": _capture(capture),
        "scope_of_request": "this_item_only",
    }


def _capture(capture: Capture | None) -> dict[str, Any] | None:
    if capture is None or capture.captured_at is None:
        return None
    return {
        "sha256": capture.sha256,
        "size_bytes": capture.size_bytes,
        "captured_at": _utc(capture.captured_at),
        "method": capture.method or "unknown",
        "tool_version": capture.tool_version or "unknown",
    }


def _assessment(sources: Sources, grounds: Grounds, codes: Sequence[PolicyCode]) -> dict[str, Any]:
    judgement = sources.judgement
    return {
        "codes": [{"policy_code": code.code, "title": code.title, "scope_tag": code.scope} for code in codes],
        "severity": _severity(codes),
        "speech_act": judgement.speech_act,
        "target": judgement.target,
        "imminence": judgement.imminence,
        "policy_version": sources.decision.policy_version,
        "taxonomy_version": sources.decision.taxonomy_version,
        "platform_policy_cited": grounds.platform_policy_clause.strip() or None,
        "legal_basis": [_legal(basis, sources.now) for basis in sources.legal_bases],
        "statement_of_reasons": _statements(sources, grounds),
        "primary_signals": [str(found) for found in grounds.primary_signals],
        # Who the source is stays in the case file: it is often the person under threat.
        "secondary_signals": [
            {"signal": str(found), "source_independent": True} for found in grounds.secondary_signals
        ],
        "context_considered": list(judgement.contexts),
        "artistic_context": "artistic" in judgement.contexts,
        "context_rebuttal": grounds.context_rebuttal.strip() or None,
        "benign_alternatives_rejected": [{"policy_code": code.code, "look_alikes": code.look_alikes} for code in codes],
        "necessity": grounds.necessity.strip(),
        "proportionality": grounds.proportionality.strip(),
        "likelihood": str(grounds.likelihood),
        "least_intrusive": grounds.least_intrusive.strip(),
        "requested_action": str(grounds.requested_action),
        "territorial_scope": "GB",
        "dissent_recorded": sources.dissent,
    }


def _legal(basis: LegalBasis, now: datetime) -> dict[str, Any]:
    return {
        "id": basis.id,
        "act": basis.act,
        "section": basis.section,
        "title": basis.title,
        "jurisdiction": basis.jurisdiction,
        "in_force_from": basis.in_force_from.isoformat() if basis.in_force_from else "unknown",
        "in_force_to": basis.in_force_to.isoformat() if basis.in_force_to else "unknown",
        "last_reviewed": basis.last_reviewed.isoformat() if basis.last_reviewed else "never",
        "stale": basis.stale(now.date()),
    }


def _statements(sources: Sources, grounds: Grounds) -> list[dict[str, str]]:
    """What is known, apart from what a person makes of it (DPA 2018 s.38): each with its tag, line by line."""
    count = sources.case.report_count
    facts = [f"Reported {count} time{'s' if count != 1 else ''}, first received {_utc(sources.case.received_at)}."]
    if (capture := _capture(sources.capture)) is not None:
        facts.append(f"Captured {capture['captured_at']}; the bytes have the SHA-256 given.")
    return [
        *({"tag": "fact", "about": "origin", "text": text} for text in facts),
        *_tagged(grounds, "reasons", "facts", "statement_of_reasons"),
        *_tagged(grounds, "causal_path", "causal_path"),
    ]


def _tagged(grounds: Grounds, about: str, *names: str) -> list[dict[str, str]]:
    """DEC-02: a line of the reviewer's is one statement, tagged by the field it was written in."""
    return [
        {"tag": str(STATEMENTS[name]), "about": about, "text": line.strip()}
        for name in names
        for line in getattr(grounds, name).splitlines()
        if line.strip()
    ]


def _automation(sources: Sources) -> Mapping[str, Any]:
    return {
        "automated_detection": sources.detected_by_platform,
        "automated_ranking": bool(sources.case.assessed),
        "automated_decision": "none",
        "pipeline_version": sources.pipeline_version,
        "model_score_used": False,
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
