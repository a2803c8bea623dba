"""Disguises come off, and every character knows its way back to the original."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.normalise import normalise


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("I'll K1LL you", "i'll kill you"),
        ("sh4nk and m4ch3t3", "shank and machete"),
        ("ki1l, b1ade, $tab", "kill, blade, stab"),
        ("s t a b him", "stab him"),
        ("k.i.l.l and s-t-a-b", "kill and stab"),
        ("ѕtаb hіm", "stab him"),  # Cyrillic letters
        ("st\u200bab h\u202eim\u00ad", "stab him"),
        ("𝓼𝓽𝓪𝓫 ｋｉｌｌ 🅺🅸🅻🅻", "stab kill kill"),
        ("killllll himmmm", "kill himm"),
        ("café naïve", "cafe naive"),
        ("🔪🔪🔪 you 😂", ":knife: you :laughing:"),
        ("👍🏿 🇬🇧", ":thumbs up:"),  # skin tone and flag say nothing about what the post does
        ("hi @jake.l see https://example.org/x?y", "hi @user.l see url"),
        ("a\x00b \ud800 c", "ab c"),
        ("one\n\ttwo   three", "one two three"),
    ],
)
def test_disguise_is_undone(written: str, read: str) -> None:
    assert normalise(written).text == read


@pytest.mark.parametrize(
    "text", ["b4 3pm gr8 m8", "4dr, 10in, 18yo", "a4 paper, 2nd, u2", "£50 x 4", "r.i.p", "u.s.a."]
)
def test_ordinary_writing_is_left_alone(text: str) -> None:
    assert normalise(text).text == text


@pytest.mark.parametrize("text", ["привет как дела", "你好", "سلام"])
def test_other_alphabets_are_not_read_as_latin(text: str) -> None:
    assert not any("a" <= character <= "z" for character in normalise(text).text)


def test_span_of_a_disguised_word_covers_it_in_the_original() -> None:
    original = "look: 🔪 s.t.a.b h\u200bim, st4b\u0301"
    read = normalise(original)

    def shown(word: str) -> str:
        start = read.text.rindex(word)
        begin, end = read.original_span(start, start + len(word))
        return original[begin:end]

    assert shown(":knife:") == "🔪"
    assert shown("him") == "h\u200bim"
    assert shown("stab") == "st4b\u0301"


@given(st.text(alphabet=st.characters(), max_size=200))
def test_every_character_has_a_place_in_the_original(text: str) -> None:
    read = normalise(text)

    assert len(read.text) == len(read.starts) == len(read.ends)
    assert all(0 <= start < end <= len(text) for start, end in zip(read.starts, read.ends, strict=True))
    assert list(read.starts) == sorted(read.starts)
    read.text.encode("utf-8")  # the tokenizer takes nothing else


@given(st.text(alphabet="ab1 4.$@|-_é🔪😂\u200b\u0301а", max_size=60))
def test_reading_again_changes_little_enough_to_be_stable(text: str) -> None:
    """Normalised twice or more, a text settles; it never grows."""
    once = normalise(text).text
    for _ in range(4):
        again = normalise(once).text
        assert len(again) <= len(once)
        once = again
    assert normalise(once).text == once


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "e" + "\u0301" * 100_000,
        "s t a b " * 60_000,
        "a1" * 300_000 + "_",
        "🔪😂" * 50_000,
        "@" * 500_000,
    ],
    ids=["letters", "accents", "spaced", "leet", "emoji", "mentions"],
)
def test_long_text_takes_linear_time(text: str) -> None:
    started = time.process_time()
    normalise(text[: len(text) // 4])
    quarter = time.process_time() - started
    started = time.process_time()
    normalise(text)
    assert time.process_time() - started < 12 * quarter + 0.5  # four times as long; quadratic would be sixteen


def test_empty_span_is_refused() -> None:
    with pytest.raises(ValueError, match="span 1:1"):
        normalise("abc").original_span(1, 1)
