"""DEC-09: what can be decided stands side by side; nothing is chosen for the reader and nothing is louder."""

import re

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from annotations.pages import keys
from tests import factories
from tests.people import People
from tests.visiting import THREAT, Visit
from triage.domain.lifecycle import Outcome


@pytest.fixture
def page(client: TestClient, session: Session, people: People) -> str:
    factories.open_case(session, people)
    visit = Visit(client, people.moderator)
    path = visit.take_next()
    visit.post(f"{path}/judge", **THREAT)
    return visit.get(path).text


def test_every_outcome_is_one_radio_of_one_list_and_none_is_chosen(page: str) -> None:
    radios = re.findall(r'<input[^>]*name="outcome"[^>]*>', page)

    assert sorted(re.findall(r'value="(\w+)"', "".join(radios))) == sorted(str(outcome) for outcome in Outcome)
    assert {re.sub(r' (?:id|value|data-key|aria-keyshortcuts)="[^"]*"', "", radio) for radio in radios} == {
        '<input class="govuk-radios__input" name="outcome" type="radio">'
    }


def test_every_outcome_is_labelled_alike(page: str) -> None:
    labels = re.findall(r'<label class="([^"]*)" for="outcome[^"]*">(.*?)</label>', page, re.DOTALL)

    assert len(labels) == len(Outcome)
    assert len({classes for classes, _ in labels}) == 1
    shapes = {re.sub(r">[^<]+<", "><", re.sub(r"\s+", " ", label)).strip() for _, label in labels}
    assert len(shapes) == 1, shapes


def test_words_and_keys_of_every_outcome() -> None:
    assert set(keys.OUTCOMES) == set(keys.OUTCOME_KEYS) == set(Outcome)
    lengths = [len(title) + len(words) for title, words in keys.OUTCOMES.values()]
    assert max(lengths) < 70
