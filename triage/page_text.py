"""The words of a captured page: what the page itself says the post is, else what a reader would see.

Works on the stored bytes only, runs no script, and never fails because of what a page contains.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")
_DECLARED = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
#: A page must not choose a codec that is not an encoding of text, or one that is slow.
_CHARSETS = re.compile(
    r"utf-?(8|16(le|be)?)|us-ascii|(iso-?8859|windows|cp)-?\d{1,4}|koi8-[ru]|gb18030|gbk|big5|euc-(jp|kr)|shift_jis"
)
_UNSEEN = "script, style, noscript, template, nav, header, footer, aside, form, button, svg, iframe, dialog, [hidden]"
_BLOCKS = "p, br, div, li, tr, h1, h2, h3, h4, h5, h6, blockquote, section, article, pre"
_HANDLE = 200
_FIRST_YEAR = 1970
_MAX_NODES = 2000
#: Parsing takes time by the square of how deep elements are nested: 50,000 deep take 3 seconds, a million hours.
_MAX_TAGS = 50_000
#: A shorter beginning than this proves nothing about which element holds the rest.
_BEGINNING = 40


@dataclass(frozen=True, slots=True)
class PageText:
    """What a page says. ``text`` is empty when no words were found; author and time only where it states them."""

    text: str
    author_handle: str | None = None
    posted_at: datetime | None = None


def extract(content: bytes, *, content_type: str, charset: str | None, limit: int) -> PageText:
    """The text of a page, at most ``limit`` characters."""
    decoded = _decoded(content, charset if content_type != "text/html" else charset or _declared(content))
    if content_type == "text/html":
        return _from_html(decoded, limit)
    if content_type == "application/json":
        return _from_node(next(_stated(_parsed(decoded)), {}), limit) or PageText(_tidy(decoded, limit))
    return PageText(_tidy(decoded, limit))


def _decoded(content: bytes, charset: str | None) -> str:
    if content.startswith(b"\xef\xbb\xbf"):
        return content[3:].decode("utf-8", "replace")
    known = charset if charset and _CHARSETS.fullmatch(charset) else "utf-8"
    try:
        return content.decode(known, "replace")
    except LookupError:  # an invented number, such as windows-9999
        return content.decode("utf-8", "replace")


def _declared(content: bytes) -> str | None:
    """The encoding that the page names near its beginning."""
    found = _DECLARED.search(content[:2048])
    return found.group(1).decode("ascii").lower() if found else None


def _tidy(text: str, limit: int) -> str:
    """Storable, without runs of space, bounded. Cut before the slow part: a page may be megabytes of spaces."""
    text = _NOT_STORABLE.sub("\N{REPLACEMENT CHARACTER}", text[: limit * 20])
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()[:limit].rstrip()


def _from_html(html: str, limit: int) -> PageText:
    tree = LexborHTMLParser("<".join(html.split("<", _MAX_TAGS)[:_MAX_TAGS]))
    linked = _from_linked_data(tree, limit)
    described = _meta(tree, "og:description", "twitter:description")
    text = linked.text if linked and linked.text else _tidy(described or "", limit)
    if not text or text.endswith(("…", "...")):
        text = _whole(text, _seen(tree, limit))
    handle = _meta(tree, "twitter:creator") or (linked.author_handle if linked else None)
    published = _time(_meta(tree, "article:published_time") or _time_element(tree))
    return PageText(
        text=text,
        author_handle=_tidy(handle, _HANDLE) or None if handle else None,
        posted_at=(linked.posted_at if linked else None) or published,
    )


def _whole(shortened: str, seen: str) -> str:
    """What a reader sees, if the page's own description is missing or is only the beginning of it."""
    beginning = shortened.rstrip("….")[:_BEGINNING].strip()
    return seen if not shortened or (len(beginning) > _BEGINNING // 2 and beginning in seen) else shortened


def _meta(tree: LexborHTMLParser, *names: str) -> str | None:
    for name in names:
        for node in tree.css(f'meta[property="{name}"], meta[name="{name}"]'):
            content = node.attributes.get("content")
            if content and content.strip():
                return str(content)
    return None


def _seen(tree: LexborHTMLParser, limit: int) -> str:
    for node in tree.css(_UNSEEN):
        node.decompose()
    for node in tree.css(_BLOCKS):
        node.insert_after("\n")
    for selector in ("main", "article", "body"):
        element = tree.css_first(selector)
        text = _tidy(element.text(separator=""), limit) if element else ""
        if text:
            return text
    return ""


def _from_linked_data(tree: LexborHTMLParser, limit: int) -> PageText | None:
    for script in tree.css('script[type="application/ld+json"]')[:20]:
        for node in _stated(_parsed(script.text())):
            return _from_node(node, limit)
    return None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _stated(value: Any) -> Iterator[dict[str, Any]]:
    """Objects that carry the text of a post, in the page's order. Comments below it are not the post."""
    waiting, looked_at = [value], 0
    while waiting and looked_at < _MAX_NODES:
        node = waiting.pop(0)
        looked_at += 1
        if isinstance(node, list):
            waiting[:0] = node[:_MAX_NODES]
        elif isinstance(node, dict):
            if _words(node):
                yield node
            waiting[:0] = [node[key] for key in ("@graph", "mainEntity", "mainEntityOfPage", "data") if key in node]


def _words(node: dict[str, Any]) -> str:
    for key in ("articleBody", "text"):
        if isinstance(node.get(key), str) and node[key].strip():
            return str(node[key])
    return ""


def _from_node(node: dict[str, Any], limit: int) -> PageText | None:
    if not _words(node):
        return None
    author = node.get("author")
    author = author[0] if isinstance(author, list) and author else author
    handle = author.get("alternateName") if isinstance(author, dict) else None
    published = next((node[key] for key in ("datePublished", "dateCreated", "uploadDate") if key in node), None)
    return PageText(
        text=_tidy(_words(node), limit),
        author_handle=_tidy(handle, _HANDLE) or None if isinstance(handle, str) else None,
        posted_at=_time(published),
    )


def _time_element(tree: LexborHTMLParser) -> str | None:
    node: LexborNode | None = tree.css_first("article time[datetime], main time[datetime]")
    return node.attributes.get("datetime") if node else None


def _time(value: Any) -> datetime | None:
    """A time with its offset from UTC; without one it could be anywhere in a day, so it is left unknown.

    So is a time that no post can have; near the years 1 and 9999 the database would store what nobody can read back.
    """
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo and _FIRST_YEAR <= moment.year < _FIRST_YEAR + 200 else None
