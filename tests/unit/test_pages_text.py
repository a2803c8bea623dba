"""A post's text as HTML: nothing hidden stays hidden, nothing hostile stays live."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.pages import post_text
from triage.domain.scores import EvidenceSpan


def span(start: int, end: int, source: str = "model", code: str = "TTL", note: str = "") -> EvidenceSpan:
    return EvidenceSpan(start, end, code, source, 0.5, note)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u200bb", "a[zero-width space]b"),
        ("a\u202eb", "a[right-to-left override]b"),
        ("a\u00adb", "a[soft hyphen]b"),
        ("a\x07b", "a[control character]b"),
        ("a\u200db", "a[zero-width joiner]b"),
        ("a\u3164b", "a[hangul filler]b"),
        ("a\nb\tc", "a\nb\tc"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        (
            "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
            "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        ),
        ("a\U000e0041", "a[tag latin capital letter a]"),
        ("<b>&", "<b>&"),
    ],
)
def test_hidden_characters_are_shown_and_meant_ones_left(text: str, shown: str) -> None:
    assert unescape(re.sub(r"<span[^>]*>|</span>", "", post_text.plain(text))) == shown


def test_spans_are_marked_by_source_and_numbered_at_their_end() -> None:
    html = post_text.marked("we know him", [span(3, 7), span(8, 11, "lexicon")])

    assert html == (
        'we <mark class="app-evidence app-evidence--model">know<sup class="app-evidence__number">'
        '<span class="govuk-visually-hidden"> note </span>1</sup></mark> '
        '<mark class="app-evidence app-evidence--lexicon">him<sup class="app-evidence__number">'
        '<span class="govuk-visually-hidden"> note </span>2</sup></mark>'
    )


def test_overlapping_spans_share_a_piece() -> None:
    html = post_text.marked("abcd", [span(0, 3), span(2, 4, "lexicon")])

    pieces = [re.sub(r"<sup.*?</sup>", "", piece) for piece in re.findall(r"<mark class=\"(.*?)</mark>", html)]
    assert pieces == [
        'app-evidence app-evidence--model">ab',
        'app-evidence app-evidence--lexicon app-evidence--model">c',
        'app-evidence app-evidence--lexicon">d',
    ]


def test_footnotes_follow_the_text_and_keep_the_benign_readings() -> None:
    notes = post_text.footnotes("we know him", [span(8, 11, "lexicon", "WIT", "a pronoun"), span(3, 7)])

    assert [(note.number, note.quote, note.code, note.source, note.note) for note in notes] == [
        (1, "know", "TTL", "model", ""),
        (2, "him", "WIT", "lexicon", "a pronoun"),
    ]


@given(st.text(max_size=40), st.lists(st.tuples(st.integers(-3, 45), st.integers(-3, 45)), max_size=4))
def test_no_text_and_no_spans_break_out(text: str, places: list[tuple[int, int]]) -> None:
    """Whatever the offsets, the words come back whole and only our own tags are there."""
    html = post_text.marked(text, [span(start, end) for start, end in places])

    assert set(re.findall(r"<(\w+)", html)) <= {"mark", "sup", "span"}
    bare = re.sub(r"<sup.*?</sup>|<mark[^>]*>|</mark>", "", html)
    assert bare == post_text.plain(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://www.chirper.example/a.b?c=d.e", "hxxps://www[.]chirper[.]example/a.b?c=d.e"),
        ("http://chirper.example", "hxxp://chirper[.]example"),
        ("chirper.example", "chirper[.]example"),
    ],
)
def test_address_is_defanged(url: str, shown: str) -> None:
    assert post_text.defanged(url) == shown


@pytest.mark.parametrize(("handle", "shown"), [("@nightbus", "@n•••••"), ("x", "@x•••••"), ("@", "")])
def test_handle_is_masked(handle: str, shown: str) -> None:
    assert post_text.masked(handle) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tell @nightbus and @o.wl.", "tell @n••••••• and @o•••."),
        ("mail shop@chirper.example, 7 @ the park", "mail shop@chirper.example, 7 @ the park"),
        ("@@x @a", "@@x @a"),
    ],
)
def test_handles_in_a_text_are_covered_and_no_offset_moves(text: str, shown: str) -> None:
    assert post_text.mask_handles(text) == shown
