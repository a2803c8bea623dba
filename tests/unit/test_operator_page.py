"""docs/operator.md says what the code does: every setting has its row, with its default."""

import re
from pathlib import Path

from triage.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "operator.md").read_text()
IN_WORDS = {
    "database_url",
    "redis_url",
    "otlp_endpoint",
    "authority_name",
    "authority_contact",
    "capture_hosts",
    "public_url",
    "on_call",
    "on_call_secret",
    "smtp_url",
    "support_contacts",
}


def test_each_setting_has_a_row_with_its_default():
    rows = dict(re.findall(r"^\| `TRIAGE_([A-Z_]+)` \| `?([^|`]*)`? \|", PAGE, flags=re.MULTILINE))
    fields = Settings.model_fields

    assert sorted(rows) == sorted(name.upper() for name in fields)
    for name, field in fields.items():
        if name not in IN_WORDS:
            kind = type(field.default)
            shown = kind(rows[name.upper()] == "true" if kind is bool else rows[name.upper()])
            assert shown == field.default, name
