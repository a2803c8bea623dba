"""All commands as a plain list: what the palette shows with scripts, a page shows without."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from annotations.pages import keys
from annotations.pages.access import Visitor
from annotations.pages.rendering import render
from triage.domain.taxonomy import CODES

router = APIRouter(include_in_schema=False)

_COMMANDS = (
    (
        "Everywhere",
        (
            (keys.NEXT_KEY, "Review next"),
            ("Ctrl Enter", "Send the form"),
            ("Ctrl K", "All commands"),
            ("Esc", "Leave a field"),
            (keys.HELP_KEY, "Show the keys"),
        ),
    ),
    (
        "On a case",
        (
            (keys.PASS_KEY, "Pass the case to somebody else"),
            (keys.EVIDENCE_KEY, "Go to the machine's reasons"),
            (keys.READING_KEY, "Add a reading of a term"),
            (keys.TOGETHER_KEY, "Decide open copies as well"),
            *((key, f"Go to: {field.replace('_', ' ')}") for field, key in keys.FIELD_KEYS.items()),
            ("Shift + key", "Choose a code or an outcome and send the form at once"),
        ),
    ),
    ("What is in the post", tuple((key, f"{code} {CODES[code].title}") for code, key in keys.CODE_KEYS.items())),
    ("What should happen", tuple((key, keys.OUTCOMES[outcome][0]) for outcome, key in keys.OUTCOME_KEYS.items())),
)


@router.get("/commands")
def commands(request: Request, who: Visitor) -> Response:
    return render(request, "commands.html", who=who, commands=_COMMANDS)
