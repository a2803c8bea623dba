"""Which texts are another language, and which are only another English."""

import pytest

from classifiers.corpus import read_corpus
from classifiers.language import LanguageCheck
from classifiers.normalise import normalise

FOREIGN = [
    "Mañana a las seis en la parada, trae el dinero o ya sabes",
    "Je vais te planter demain devant le lycée",
    "Ich weiß wo du wohnst, pass auf dich auf",
    "Domani alle tre alla stazione, porta i soldi",
    "Zabiję cię jak jeszcze raz przyjdziesz pod mój blok",
    "O să te omor dacă mai vii pe aici",
    "Yarın saat üçte durakta ol, parayı getir",
    "Main tujhe maar dunga agar tu wapas aaya",
    "Sot kemi ngrënë byrek te gjyshja",
    "Waan ku dili doonaa haddii aad halkan ku soo noqoto",
]
ENGLISH = [
    "wagwan fam, mandem linking at the ends later still",
    "dinnae be daft hen, he's awa tae his bed",
    "am gannin doon the toon wi wor lass the neet",
    "finna pull up on my cousin cuz she ain't answer her phone",
    "im gonna stab you tomorrow Ellis, gate 2, 3:15",
    "1 kn0w wh3r3 u l1v3 m8",
    "Gоnna thrоw thе аcіd on Мarnie whеn shе comеs оut",
    "bună Radu, call me when you get off the bus please",
]


@pytest.fixture(scope="module")
def check() -> LanguageCheck:
    return LanguageCheck()


@pytest.mark.parametrize("text", FOREIGN)
def test_other_languages_are_known_as_such(check: LanguageCheck, text: str) -> None:
    assert check.is_foreign(normalise(text).text)


@pytest.mark.parametrize("text", ENGLISH)
def test_slang_dialect_and_disguise_are_english(check: LanguageCheck, text: str) -> None:
    assert not check.is_foreign(normalise(text).text)


def test_two_or_three_words_are_never_refused(check: LanguageCheck) -> None:
    assert not check.is_foreign("deux mots seuls")


def test_hardly_an_english_post_is_refused_in_any_voice(check: LanguageCheck) -> None:
    posts = read_corpus()
    refused = [post for post in posts if check.is_foreign(normalise(post.text).text)]
    assert len(refused) / len(posts) < 0.003
    for region in {post.region for post in posts}:
        of_region = sum(post.region == region for post in posts)
        assert sum(post.region == region for post in refused) / of_region < 0.02, region
