"""A referral as one flat CSV row, for spreadsheets. Derived from the approved document and nothing else."""

import csv
import io
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"

_BETWEEN = " | "
#: A spreadsheet takes a cell that starts like this for a formula (wide forms too: some programs fold them).
_FORMULA = frozenset("=+-@\t\r\n＝＋－＠")


def _at(*path: str) -> Callable[[Mapping[str, Any]], Any]:
    def read(document: Mapping[str, Any]) -> Any:
        value: Any = document
        for name in path:
            value = None if value is None else value.get(name)  # a document of an older version lacks the newest
        return value

    return read


def _each(render: Callable[[Any], str], *path: str) -> Callable[[Mapping[str, Any]], list[str]]:
    read = _at(*path)
    return lambda document: [render(item) for item in read(document)]


def _law(basis: Mapping[str, Any]) -> str:
    return f"{basis['act']} {basis['section']} ({basis['jurisdiction']})"


#: Columns in order; docs/referral-schema.md explains each. New ones are added at the end.
COLUMNS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "schema_version": _at("schema_version"),
    "export_id": _at("envelope", "export_id"),
    "referral_id": _at("envelope", "referral_id"),
    "referral_number": _at("envelope", "referral_number"),
    "created_at": _at("envelope", "created_at"),
    "supersedes_id": _at("envelope", "supersedes_id"),
    "referral_type": _at("envelope", "referral_type"),
    "nature_statement": _at("envelope", "nature_statement"),
    "urgency": _at("envelope", "urgency"),
    "security_marking": _at("envelope", "security_marking"),
    "handling_conditions": _at("envelope", "handling_conditions"),
    "purposes": _at("envelope", "purpose_limitation", "purposes"),
    "purpose_statement": _at("envelope", "purpose_limitation", "statement"),
    "retention_instruction": _at("envelope", "retention_instruction"),
    "authority_name": _at("issuer", "authority_name"),
    "authority_country": _at("issuer", "authority_country"),
    "contact": _at("issuer", "contact"),
    "officer_role": _at("issuer", "officer", "role"),
    "officer_pseudonym": _at("issuer", "officer", "pseudonym"),
    "approver_pseudonym": _at("issuer", "approver", "pseudonym"),
    "approved_at": _at("issuer", "approver", "approved_at"),
    "recipient_id": _at("recipient", "partner_id"),
    "recipient_name": _at("recipient", "name"),
    "platform": _at("content", "platform"),
    "platform_post_id": _at("content", "platform_post_id"),
    "url": _at("content", "url"),
    "posted_at": _at("content", "posted_at"),
    "language": _at("content", "language"),
    "text": _at("content", "text"),
    "text_sha256": _at("content", "text_sha256"),
    "capture_sha256": _at("content", "capture", "sha256"),
    "captured_at": _at("content", "capture", "captured_at"),
    "scope_of_request": _at("content", "scope_of_request"),
    "policy_codes": _each(lambda code: str(code["policy_code"]), "assessment", "codes"),
    "scope_tags": _each(lambda code: str(code["scope_tag"]), "assessment", "codes"),
    "severity": _at("assessment", "severity"),
    "speech_act": _at("assessment", "speech_act"),
    "target": _at("assessment", "target"),
    "imminence": _at("assessment", "imminence"),
    "platform_policy_cited": _at("assessment", "platform_policy_cited"),
    "legal_basis": _each(_law, "assessment", "legal_basis"),
    "statement_of_reasons": _each(lambda said: f"[{said['tag']}] {said['text']}", "assessment", "statement_of_reasons"),
    "primary_signals": _at("assessment", "primary_signals"),
    "secondary_signals": _each(lambda found: str(found["signal"]), "assessment", "secondary_signals"),
    "context_considered": _at("assessment", "context_considered"),
    "artistic_context": _at("assessment", "artistic_context"),
    "context_rebuttal": _at("assessment", "context_rebuttal"),
    "benign_alternatives_rejected": _each(
        lambda code: f"{code['policy_code']}: {code['look_alikes']}", "assessment", "benign_alternatives_rejected"
    ),
    "necessity": _at("assessment", "necessity"),
    "least_intrusive": _at("assessment", "least_intrusive"),
    "requested_action": _at("assessment", "requested_action"),
    "territorial_scope": _at("assessment", "territorial_scope"),
    "dissent_recorded": _at("assessment", "dissent_recorded"),
    "automated_decision": _at("automation", "automated_decision"),
    "model_score_used": _at("automation", "model_score_used"),
    "pipeline_version": _at("automation", "pipeline_version"),
    "data_subject_category": _at("people", "data_subject_category"),
    "possible_child": _at("people", "possible_child"),
    "user_notification": _at("rights", "user_notification"),
    "redress_info": _at("rights", "redress_info"),
    "payload_sha256": _at("integrity", "payload_sha256"),
    "proportionality": _at("assessment", "proportionality"),
    "likelihood": _at("assessment", "likelihood"),
    "second_reader_pseudonym": _at("issuer", "second_reader", "pseudonym"),
}


def render(document: Mapping[str, Any]) -> bytes:
    """A header line and one row, RFC 4180, UTF-8 without a byte order mark."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerow(_cell(read(document)) for read in COLUMNS.values())
    return out.getvalue().encode()


def _cell(value: Any) -> str:
    """Text of one cell; an apostrophe in front of what a spreadsheet would run as a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = _BETWEEN.join(map(str, value)) if isinstance(value, list) else str(value)
    return f"'{text}" if _first_seen(text) in _FORMULA else text


def _first_seen(text: str) -> str:
    """The first character that counts: spaces and invisible ones in front may be dropped by the reader."""
    return next((char for char in text if char in _FORMULA or unicodedata.category(char)[0] not in "ZC"), "")
