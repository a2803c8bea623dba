"""DEC-08: what is ours describes content and never sorts people: schema, exports, API, pages and documents.

The code that refuses such words has to hold them, and so have tests and the posts that models learn from; nothing else.
"""

import json
import re
from pathlib import Path

import pytest
from jinja2 import Environment

from annotations.pages import keys
from tests import golden
from triage.db import Base
from triage.domain.taxonomy import CODES, CONTEXTS
from triage.formats import csv_format, json_format
from workers.web import app

ROOT = Path(__file__).parents[2]
LABELS = re.compile(
    r"gang[\s_-]*(?:member|nominal|affiliat|associat|involved)\w*|\bnominals?\b|\baffiliat\w+|\bknown[\s_-]associates?\b"
    r"|\bassociates?\b(?=[^.\n]{0,40}\bof the (?:person|author|account)\b)",
    re.I,
)


def found_in(text: str) -> list[str]:
    return [match[0] for match in LABELS.finditer(text)]


def test_the_pattern_finds_what_it_should() -> None:
    for words in ("a gang member", "GANG-NOMINAL", "gang_affiliation", "is affiliated", "known associates", "nominal"):
        assert found_in(words) != [], words
    assert found_in("gangs, groups, membership of a library, county lines") == []


def test_tables_columns_and_their_kinds() -> None:
    names = [table.name for table in Base.metadata.sorted_tables]
    names += [column.name for table in Base.metadata.sorted_tables for column in table.columns]
    checks = [str(getattr(rule, "sqltext", "")) for table in Base.metadata.sorted_tables for rule in table.constraints]

    assert len(names) > 100
    assert found_in("\n".join(names + checks)) == []


def test_migrations() -> None:
    files = list((ROOT / "triage" / "db" / "migrations" / "versions").glob("*.py"))

    assert len(files) >= 7
    assert {file.name: found for file in files if (found := found_in(file.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize("name", golden.DOCUMENTS)
def test_exports(name: str) -> None:
    made = golden.DOCUMENTS[name]()

    assert found_in(json.dumps(made)) == []
    assert found_in(csv_format.render(made).decode()) == []


def test_schema_of_exports_and_of_the_api() -> None:
    assert found_in(json_format.schema_bytes().decode()) == []
    assert found_in(json.dumps(app.openapi())) == []


def test_pages() -> None:
    templates = list((ROOT / "annotations" / "templates").glob("*.html"))

    assert len(templates) >= 25
    for template in templates:
        source = template.read_text(encoding="utf-8")
        Environment(autoescape=True, extensions=["jinja2.ext.do"]).parse(source)
        assert found_in(source) == [], template.name


def test_words_beside_the_controls_and_the_code_book() -> None:
    said = [str(value) for name, value in vars(keys).items() if name.isupper()]
    said += [repr(code) for code in CODES.values()] + [repr(context) for context in CONTEXTS.values()]

    assert found_in("\n".join(said)) == []


def test_documents() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]

    assert len(pages) >= 15
    wrong = {}
    for page in pages:
        if found := found_in(page.read_text(encoding="utf-8")):
            wrong[str(page.relative_to(ROOT))] = found
    assert wrong == {}
