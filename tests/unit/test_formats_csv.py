"""The flat row: the same facts as the document, and nothing a spreadsheet would run."""

import csv
import io
from pathlib import Path

import pytest

from tests import golden
from triage.formats import csv_format, document


def _row(made):
    (row,) = csv.DictReader(io.StringIO(csv_format.render(made).decode(), newline=""))
    return row


def test_row_says_what_the_document_says():
    made = golden.against_law()

    row = _row(made)

    assert list(row) == list(csv_format.COLUMNS)
    assert row["referral_type"] == "voluntary_illegal"
    assert row["legal_basis"] == "Offences against the Person Act 1861 s.16 (England and Wales)"
    assert row["url"] == made["content"]["url"]
    assert row["platform_post_id"] == ""
    assert row["artistic_context"] == "yes"
    assert row["model_score_used"] == "no"
    assert row["secondary_signals"] == "target_feels_threatened"
    assert row["payload_sha256"] == made["integrity"]["payload_sha256"]


def test_quotes_commas_and_line_breaks_survive():
    text = 'He said "half three", then\nleft; see you'
    made = document.build(golden.sources(post=golden.post(text=text)))

    assert _row(made)["text"] == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\t=", "＝", "\u00a0=", "\ufeff="])
def test_formula_is_defused(start):
    text = f"{start}HYPERLINK(1)"
    made = document.build(golden.sources(post=golden.post(text=text)))

    assert _row(made)["text"] == f"'{text}"


@pytest.mark.parametrize("text", ["half three", "a=b", "1-2", "'quoted'", "🔪 soon"])
def test_harmless_text_is_left_alone(text):
    made = document.build(golden.sources(post=golden.post(text=text)))

    assert _row(made)["text"] == text


def test_every_column_is_documented():
    said = Path("docs/referral-schema.md").read_text(encoding="utf-8")

    assert [name for name in csv_format.COLUMNS if f"`{name}`" not in said] == []
