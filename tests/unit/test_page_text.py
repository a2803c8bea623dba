"""The words of a page: the post itself, without what stands around it, whatever the page contains."""

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triage.page_text import PageText, extract


def words(page: str | bytes, *, content_type: str = "text/html", charset: str | None = None, limit: int = 500) -> str:
    content = page.encode() if isinstance(page, str) else page
    return extract(content, content_type=content_type, charset=charset, limit=limit).text


def linked(value: object) -> str:
    return f'<script type="application/ld+json">{json.dumps(value)}</script>'


def test_description_of_the_post_comes_before_what_stands_around_it() -> None:
    page = """<head><meta property="og:description" content="see you at half three &amp; bring him">
        <title>Chirper</title></head><body><main>Log in to Chirper</main></body>"""

    assert words(page) == "see you at half three & bring him"


def test_twitter_description_will_do() -> None:
    assert words('<meta name="twitter:description" content="words"><body>Log in</body>') == "words"


def test_shortened_description_gives_way_to_the_whole_post() -> None:
    whole = "a long post that says something harmless for quite a while, and only then says where he will be waiting"
    page = f'<meta property="og:description" content="{whole[:60]}…"><nav>Home</nav><article>{whole}</article>'

    assert words(page) == whole
    assert words('<meta property="og:description" content="it ends so ..."><main>Log in</main>') == "it ends so ..."


def test_linked_data_gives_words_author_and_time() -> None:
    post = {
        "@type": "SocialMediaPosting",
        "articleBody": "the post",
        "datePublished": "2026-03-01T12:30:00Z",
        "author": {"@type": "Person", "name": "Somebody", "alternateName": "@somebody"},
        "comment": [{"@type": "Comment", "text": "a much longer comment by another person below the post"}],
    }

    page = linked({"@graph": [{"@type": "WebSite"}, post]}).encode()

    assert extract(page, content_type="text/html", charset=None, limit=500) == PageText(
        "the post", "@somebody", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    )


def test_author_and_time_stay_unknown_where_the_page_does_not_say() -> None:
    page = b'<meta name="author" content="Chirper Ltd"><article><time datetime="2026-03-01">March</time> x</article>'

    assert extract(page, content_type="text/html", charset=None, limit=500) == PageText("March x")


def test_time_of_the_page_counts_with_its_offset() -> None:
    page = b'<meta property="article:published_time" content="2026-03-01T12:30:00+01:00"><p>words'

    found = extract(page, content_type="text/html", charset=None, limit=500)

    assert found.posted_at == datetime(2026, 3, 1, 11, 30, tzinfo=UTC)


@pytest.mark.parametrize("stated", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "today", "", "12:30Z"])
def test_time_that_no_post_can_have_stays_unknown(stated: str) -> None:
    page = f'<meta property="article:published_time" content="{stated}"><p>words'.encode()

    assert extract(page, content_type="text/html", charset=None, limit=500) == PageText("words")


def test_main_part_is_read_as_a_reader_sees_it() -> None:
    page = """<body><nav>Home</nav><header>Chirper</header>
        <main><style>p{}</style><p>I will <b>find</b> you<br>tonight</p><p>at the stop</p>
        <script>track("words")</script><noscript>turn it on</noscript><form>Reply</form><p hidden>unseen</p></main>
        <footer>Imprint</footer></body>"""

    assert words(page) == "I will find you\ntonight\nat the stop"
    assert words("<body><article>one</article><p>other</p></body>") == "one"
    assert words("<body>only <i>this</i></body>") == "only this"


@pytest.mark.parametrize("page", ["", "<html></html>", "<script>x</script>", "<img alt=x>", "\x00"])
def test_page_without_words_has_no_text(page: str) -> None:
    assert words(page.replace("\x00", "<!-- -->")) == ""


def test_plain_text_and_json() -> None:
    assert words("a  b\r\n\r\nc <d>", content_type="text/plain") == "a b\nc <d>"
    assert words('{"data": {"text": "the post", "id": 1}}', content_type="application/json") == "the post"
    assert words('{"unknown": "shape"}', content_type="application/json") == '{"unknown": "shape"}'
    assert words("{broken", content_type="application/json") == "{broken"


@pytest.mark.parametrize(
    ("content", "charset", "expected"),
    [
        ("café".encode("latin-1"), "iso-8859-1", "café"),
        ("café".encode(), None, "café"),
        ("café".encode("utf-8-sig"), "iso-8859-1", "café"),
        ('<meta charset="windows-1251">да'.encode("cp1251"), None, "да"),
        (b"caf\xe9", "utf-8", "caf\N{REPLACEMENT CHARACTER}"),
        (b"plain", "rot13", "plain"),
        (b"plain", "unicode_escape", "plain"),
        (b"plain", "windows-9999", "plain"),
    ],
)
def test_encoding_is_the_one_the_page_states_if_it_is_one(content: bytes, charset: str | None, expected: str) -> None:
    assert words(content, charset=charset) == expected


def test_text_can_be_stored_and_is_bounded() -> None:
    assert words(linked({"text": "a\x00b\ud800c"})) == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert len(words("<p>" + "word " * 100_000, limit=20_000)) <= 20_000


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 900_000 + "deep",
        "<p>" * 1_500_000,
        " " * 5_000_000,
        "\n \t" * 1_600_000,
        '<script type="application/ld+json">' + "[" * 4_000_000,
        linked({"@graph": [[[[{"mainEntity": {}}] * 10] * 10] * 10] * 100}),
        '<meta property="og:description" content="">' * 100_000,
        "<meta " * 800_000,
        "&" * 5_000_000,
    ],
    ids=["nested", "paragraphs", "spaces", "lines", "brackets", "graph", "metas", "half metas", "ampersands"],
)
def test_hostile_page_takes_bounded_time(page: str) -> None:
    """Seconds, not hours: a million nested elements once took the parser longer than anybody waited."""
    began = time.monotonic()

    assert len(words(page)) <= 500
    assert time.monotonic() - began < 30


_PIECES = st.sampled_from([
    "<main>", "</main>", "<article>", "<p>", "<b", ">", "<!--", "<script type='application/ld+json'>", "</script>",
    '{"text":', '"x"', '"author":[', '"datePublished":"2026-13-01T0"', "{", "}", "[", "]", "\\ud800", "&#0;", "\x00",
    '<meta name="twitter:creator" content="', '<meta charset="utf-16">', "<time datetime=1>", "\ud800", "\u202e", "é",
])  # fmt: skip


@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(_PIECES, max_size=30).map(lambda p: "".join(p).encode("utf-8", "surrogatepass")),
    )
)
@settings(deadline=None, max_examples=300)
def test_no_page_breaks_the_reader(content: bytes) -> None:
    for kind in ("text/html", "text/plain", "application/json"):
        found = extract(content, content_type=kind, charset=None, limit=100)

        stored = found.text + (found.author_handle or "")
        assert len(found.text) <= 100
        assert "\x00" not in stored
        stored.encode()  # fails on half a surrogate pair, as PostgreSQL would
