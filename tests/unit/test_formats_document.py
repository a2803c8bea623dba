"""What the referral document says, and what it must never say."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import golden
from triage.domain.errors import InvalidInput
from triage.formats import csv_format, document, json_format


@pytest.mark.parametrize("name", golden.DOCUMENTS)
def test_document_is_the_golden_one(name):
    made = golden.DOCUMENTS[name]()

    assert made == json.loads((golden.FOLDER / f"referral-{name}.json").read_text(encoding="utf-8"))
    assert csv_format.render(made) == (golden.FOLDER / f"referral-{name}.csv").read_bytes()


@pytest.mark.parametrize("name", golden.DOCUMENTS)
def test_json_round_trip_keeps_every_byte(name):
    made = golden.DOCUMENTS[name]()
    sent = json_format.canonical(made)

    read = json.loads(sent)

    assert json_format.canonical(read) == sent
    assert json_format.sha256(read) == hashlib.sha256(sent).hexdigest()
    assert read["integrity"]["payload_sha256"] == json_format.payload_sha256(read)


def test_payload_sha256_tells_a_changed_document():
    made = golden.against_terms()

    made["content"]["url"] = "https://chirper.example/p/c-101"

    assert made["integrity"]["payload_sha256"] != json_format.payload_sha256(made)


@pytest.mark.parametrize(("changed", "verdict"), [(False, "intact"), (True, "changed")])
def test_check_that_partners_are_shown_works(tmp_path, changed, verdict):
    guide = Path("docs/referral-schema.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    made = golden.against_terms()
    if changed:
        made["content"]["text"] += "!"
    (tmp_path / "referral.json").write_bytes(json_format.canonical(made))

    said = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "referral.json"], capture_output=True, text=True, check=True
    )

    assert said.stdout.strip() == verdict


def test_terms_only_is_never_called_illegal():
    made = golden.against_terms()

    assert made["envelope"]["referral_type"] == "voluntary_tos"
    assert made["assessment"]["legal_basis"] == []
    said = json_format.canonical(made).decode().lower()
    assert not [word for word in ("illegal", "unlawful", "offence", "criminal") if word in said]
    assert "does not allege that the content breaks any law" in made["envelope"]["nature_statement"]


def test_legal_basis_makes_it_voluntary_illegal_and_still_no_order():
    made = golden.against_law()

    assert made["envelope"]["referral_type"] == "voluntary_illegal"
    assert made["envelope"]["nature_statement"].startswith("This is not a legal order.")
    assert [basis["section"] for basis in made["assessment"]["legal_basis"]] == ["s.16"]
    assert made["assessment"]["legal_basis"][0]["stale"] is True  # looked at 111 days before


@pytest.mark.parametrize(
    "kept_inside",
    ["@never_shown", "Never Shown", "never leave", "must not be named", "0.97", "P0", '"VIC"'],
    ids=["handle", "reviewer's name", "internal notes", "second source", "risk", "machine's tier", "victim code"],
)
def test_document_leaves_out(kept_inside):
    said = "".join(json_format.canonical(make()).decode() for make in golden.DOCUMENTS.values())

    assert kept_inside not in said


def test_statements_are_tagged_fact_or_assessment():
    statements = golden.against_law()["assessment"]["statement_of_reasons"]

    assert [(said["tag"], said["about"]) for said in statements] == [
        ("fact", "origin"),
        ("fact", "origin"),
        ("fact", "reasons"),
        ("assessment", "reasons"),
        ("assessment", "causal_path"),
    ]


def test_possible_child_and_posted_at_default_to_unknown():
    grounds = {key: value for key, value in golden.GROUNDS.items() if key != "possible_child"}
    decision = golden.decision()
    decision.referral = grounds

    made = document.build(golden.sources(decision=decision, post=golden.post(posted_at=None)))

    assert made["people"] == {
        "data_subject_category": "unknown",
        "possible_child": "unknown",
        "safeguarding_considered": True,
    }
    assert made["content"]["posted_at"] == "unknown"


def test_nothing_is_built_without_reasons_and_the_error_quotes_no_post():
    unfounded = golden.sources(decision=golden.decision(statement_of_reasons=" "))

    with pytest.raises(InvalidInput) as refused:
        document.build(unfounded)

    assert refused.value.field == "assessment.statement_of_reasons"
    assert "half three" not in str(refused.value)


def test_nothing_is_built_without_text_or_capture():
    with pytest.raises(InvalidInput) as refused:
        document.build(golden.sources(post=golden.post(text=None, text_sha256=None)))

    assert refused.value.field == "content"


def test_nothing_is_built_without_clause_or_law():
    with pytest.raises(InvalidInput) as refused:
        document.build(golden.sources(decision=golden.decision(platform_policy_clause="")))

    assert refused.value.field == "assessment.platform_policy_cited"


@pytest.mark.parametrize("codes", [("VIC",), ("GPR", "VIC"), ("BEN",)])
def test_nothing_is_built_of_codes_that_never_leave(codes):
    with pytest.raises(InvalidInput) as refused:
        document.build(golden.sources(decision=golden.decision(codes)))

    assert refused.value.field == "codes"
