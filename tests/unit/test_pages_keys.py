"""One key, one meaning; every kind has its words."""

from collections import Counter

from annotations.pages import keys
from triage.domain.gates import PossibleChild, PrimarySignal, RequestedAction, SecondarySignal
from triage.domain.lifecycle import Outcome
from triage.domain.taxonomy import CODES, Imminence, Referable, SpeechAct, Target


def test_no_key_means_two_things_on_the_case_page() -> None:
    on_the_page = [
        *keys.CODE_KEYS.values(),
        *keys.OUTCOME_KEYS.values(),
        *keys.FIELD_KEYS.values(),
        keys.PASS_KEY,
        keys.EVIDENCE_KEY,
        keys.READING_KEY,
        keys.TOGETHER_KEY,
        keys.NEXT_KEY,
        keys.HELP_KEY,
    ]

    assert [key for key, count in Counter(on_the_page).items() if count > 1] == []


def test_every_code_and_outcome_has_a_key() -> None:
    assert set(keys.CODE_KEYS) == set(CODES)
    assert set(keys.OUTCOME_KEYS) == set(keys.OUTCOMES) == set(Outcome)


def test_every_kind_has_its_words() -> None:
    assert set(keys.SPEECH_ACTS) == set(SpeechAct)
    assert set(keys.TARGETS) == set(Target)
    assert set(keys.IMMINENCES) == set(Imminence)
    assert set(keys.REFERABLE) == set(Referable)
    assert set(keys.PRIMARY_SIGNALS) == set(PrimarySignal)
    assert set(keys.SECONDARY_SIGNALS) == set(SecondarySignal)
    assert set(keys.REQUESTED_ACTIONS) == set(RequestedAction)
    assert set(keys.POSSIBLE_CHILD) == set(PossibleChild)
