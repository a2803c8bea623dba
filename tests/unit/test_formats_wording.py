"""A reviewer's words may not label people, nor claim illegality that no legal basis carries."""

import pytest

from triage.domain.errors import InvalidInput
from triage.domain.gates import Grounds
from triage.formats import wording


def _grounds(**changes):
    words = {
        "statement_of_reasons": "Announces violence at a named place.",
        "causal_path": "Those addressed are likely to go.",
        "necessity": "It is this afternoon.",
        "least_intrusive": "A label would come too late.",
        "platform_policy_clause": "Clause 2",
    }
    return Grounds(recipient_id="x", **(words | changes))


def test_plain_words_pass():
    wording.check(_grounds(statement_of_reasons="Refers to a knife crime and to criminal exploitation."))


@pytest.mark.parametrize("field", wording.OUTGOING)
@pytest.mark.parametrize("words", ["He is a Gang\nmember", "a known nominal", "is affiliated with", "known associates"])
def test_labels_for_people_are_refused(field, words):
    with pytest.raises(InvalidInput) as refused:
        wording.check(_grounds(**{field: f"{words} so."}))

    assert refused.value.field == field
    assert words not in refused.value.detail


@pytest.mark.parametrize("words", ["This is ILLEGAL", "unlawful content", "it breaks the law", "a criminal offence"])
def test_illegality_needs_a_legal_basis(words):
    with pytest.raises(InvalidInput) as refused:
        wording.check(_grounds(causal_path=words))
    assert refused.value.field == "causal_path"

    wording.check(_grounds(causal_path=words, legal_basis=("oapa-1861-s16",)))


@pytest.mark.parametrize("words", ["This could end in violence", "they MIGHT go", "a potential fight", "possibly hurt"])
def test_dec_07_what_could_happen_is_below_the_threshold(words):
    with pytest.raises(InvalidInput) as refused:
        wording.check(_grounds(causal_path=words))

    assert refused.value.field == "causal_path"


def test_dec_08_words_that_stay_inside_are_held_to_it_too():
    wording.check_neutral("Names a place and a time.", "reasons")
    with pytest.raises(InvalidInput) as refused:
        wording.check_neutral("A known associate.", "reasons")

    assert refused.value.field == "reasons"
