"""A post's words for those who need what it says and not who is named: safeguarding, and independent scrutiny.

Names written as plain words cannot be found by a rule and stay; what can be found is masked.
"""

import re

from markupsafe import Markup

from annotations.pages import post_text

_E_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+", re.I)
_HANDLE = re.compile(r"(?<!\w)@[\w.]+")
#: Seven digits and more, however they are grouped; times, prices and ages are shorter.
_NUMBER = re.compile(r"\+?\d(?:[ ().-]{0,2}\d){6,}")
_MASKS = ((_E_MAIL, "[e-mail]"), (_ADDRESS, "[address]"), (_HANDLE, "[handle]"), (_NUMBER, "[number]"))


def minimal(text: str) -> Markup:
    """The text as safe HTML, with e-mail addresses, web addresses, handles and telephone numbers masked."""
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return post_text.plain(text)
