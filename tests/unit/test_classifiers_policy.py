"""policy.toml is data: a broken one is refused when it is read, with the place named."""

from collections.abc import Callable
from importlib.resources import files

import pytest

from triage.domain import policy

FILE = files("triage.domain").joinpath("policy.toml").read_text(encoding="utf-8")


def without_line(start: str) -> Callable[[str], str]:
    return lambda text: "\n".join(line for line in text.splitlines() if not line.startswith(start))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (without_line("TTL ="), "no rule for TTL"),
        (lambda text: text.replace("\nTTL =", '\nXYZ = { propose = 0.5, tier = "P1" }\nTTL ='), "unknown code XYZ"),
        (lambda text: text.replace("TTL = { propose = 0.", "TTL = { propose = 7."), "TTL is 7"),
        (lambda text: text.replace('GPR = { propose = 0.6, tier = "P4"', 'GPR = { propose = 0.6, tier = "P7"'), "P7"),
    ],
)
def test_broken_policy_is_refused(break_it: Callable[[str], str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        policy.parse(break_it(FILE))


def test_group_promotion_alone_never_flags() -> None:
    assert not policy.CURRENT.codes["GPR"].flags
