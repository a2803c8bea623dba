"""The published schema refuses what may not leave, wherever somebody puts it."""

import copy
import json

import pytest
from jsonschema import Draft202012Validator

from tests import golden
from triage.domain import gates, taxonomy
from triage.domain.errors import InvalidInput
from triage.domain.taxonomy import CODES, Referable
from triage.domain.words import Purpose
from triage.formats import document, json_format

SCHEMA = json.loads(json_format.schema_bytes())
FORBIDDEN = {
    "ethnicity": "any",
    "affiliation": "any",
    "associates": ["any"],
    "risk_score": 0.9,
    "scores": {"TTL": 0.9},
    "reviewer_name": "any",
    "author_handle": "@any",
    "real_name": "any",
    "home_address": "any",
}


def _objects(value, path=()):
    """Every object of a document, by its path."""
    if isinstance(value, dict):
        yield path
        for name, inner in value.items():
            yield from _objects(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _objects(inner, (*path, index))


def _at(value, path):
    for step in path:
        value = value[step]
    return value


PLACES = sorted(_objects(golden.against_law()), key=str)


def test_schema_is_valid_draft_2020_12():
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMA)


def test_every_kind_of_object_is_tried():
    assert len(PLACES) >= 15


@pytest.mark.parametrize("place", PLACES, ids=lambda path: ".".join(map(str, path)) or "document")
@pytest.mark.parametrize("name", FORBIDDEN)
def test_schema_refuses_in_any_object(place, name):
    made = golden.against_law()
    json_format.validate(made)
    _at(made, place)[name] = FORBIDDEN[name]

    with pytest.raises(InvalidInput):
        json_format.validate(made)


@pytest.mark.parametrize("place", PLACES, ids=lambda path: ".".join(map(str, path)) or "document")
def test_schema_requires_every_property(place):
    for name in _at(golden.against_law(), place):
        made = golden.against_law()
        del _at(made, place)[name]

        with pytest.raises(InvalidInput):
            json_format.validate(made)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("automation", "automated_decision"), "removal"),
        (("automation", "model_score_used"), True),
        (("content", "scope_of_request"), "identical_copies"),
        (("issuer", "officer", "pseudonym"), "Morgan"),
        (("issuer", "approver", "pseudonym"), "ada@police.example"),
        (("rights", "user_notification"), "prohibited"),
        (("envelope", "referral_type"), "content_removal_notice_cpa2026_s21"),
        (("envelope", "nature_statement"), "You must remove this within one hour."),
        (("envelope", "security_marking"), "SECRET"),
        (("assessment", "codes"), [{"policy_code": "VIC", "title": "x", "scope_tag": "person_at_risk"}]),
        (("assessment", "severity"), 0.93),
        (("assessment", "secondary_signals", 0, "source_independent"), False),
        (("content", "posted_at"), "yesterday"),
    ],
)
def test_schema_refuses_value(path, value):
    made = golden.against_law()
    _at(made, path[:-1])[path[-1]] = value

    with pytest.raises(InvalidInput):
        json_format.validate(made)


def test_terms_only_with_a_legal_basis_is_refused():
    made = golden.against_terms()
    made["assessment"]["legal_basis"] = copy.deepcopy(golden.against_law()["assessment"]["legal_basis"])

    with pytest.raises(InvalidInput):
        json_format.validate(made)


def test_calling_it_illegal_without_a_legal_basis_is_refused():
    made = golden.against_terms()
    made["envelope"]["referral_type"] = "voluntary_illegal"
    made["envelope"]["nature_statement"] = document.NATURE["voluntary_illegal"]

    with pytest.raises(InvalidInput):
        json_format.validate(made)


def test_schema_knows_exactly_the_codes_that_may_leave():
    kept_back = (Referable.NO, Referable.SUPPORT_ONLY, Referable.NEVER_ALONE)

    assert SCHEMA["$defs"]["policy_code"]["enum"] == [
        code for code, meaning in CODES.items() if meaning.referable not in kept_back
    ]


@pytest.mark.parametrize(
    ("part", "name", "words"),
    [
        ("assessment", "speech_act", taxonomy.SpeechAct),
        ("assessment", "target", taxonomy.Target),
        ("assessment", "imminence", taxonomy.Imminence),
        ("assessment", "requested_action", gates.RequestedAction),
        ("assessment", "primary_signals", gates.PrimarySignal),
        ("assessment", "context_considered", taxonomy.CONTEXTS),
        ("people", "possible_child", gates.PossibleChild),
    ],
)
def test_schema_knows_the_words_of_the_code_book(part, name, words):
    declared = SCHEMA["$defs"][part]["properties"][name]

    assert declared.get("items", declared)["enum"] == [str(word) for word in words]


def test_schema_knows_secondary_signals_purposes_and_scopes():
    definitions = SCHEMA["$defs"]
    signals = definitions["assessment"]["properties"]["secondary_signals"]["items"]["properties"]["signal"]
    purposes = definitions["envelope"]["properties"]["purpose_limitation"]["properties"]["purposes"]["items"]
    scopes = definitions["assessment"]["properties"]["codes"]["items"]["properties"]["scope_tag"]

    assert signals["enum"] == [str(word) for word in gates.SecondarySignal]
    assert purposes["enum"] == [str(word) for word in Purpose]
    assert set(scopes["enum"]) == {CODES[code].scope for code in definitions["policy_code"]["enum"]}


def test_every_code_that_may_leave_builds_a_document():
    for code in SCHEMA["$defs"]["policy_code"]["enum"]:
        made = document.build(golden.sources(decision=golden.decision((code,))))

        assert made["assessment"]["codes"][0]["policy_code"] == code
