"""Posts of the same words, and of nearly the same."""

import random

import pytest

from triage.domain import copies
from triage.domain.copies import RESEMBLES_FROM, copy_sha256, resemblance, sketch

POST = "They said they would be waiting by the leisure centre on Friday when he comes out of training with his brother"


@pytest.mark.parametrize(
    "other",
    [
        POST.upper(),
        POST.replace(" ", " \n "),
        POST.replace("leisure", "lei\u200bsure\u202e"),
        POST.replace("Friday", "Ｆｒｉｄａｙ"),
        f"  {POST}\u2060",
    ],
)
def test_case_spacing_width_and_invisible_characters_make_no_other_post(other: str) -> None:
    assert copy_sha256(other) == copy_sha256(POST)
    assert resemblance(sketch(other), sketch(POST)) == 1.0


@pytest.mark.parametrize("other", [POST + "!", POST.replace("Friday", "Monday"), POST.replace("would", "would not")])
def test_other_words_or_signs_make_another_post_that_resembles_it(other: str) -> None:
    assert copy_sha256(other) != copy_sha256(POST)
    assert resemblance(sketch(other), sketch(POST)) >= RESEMBLES_FROM


def test_posts_that_share_no_run_of_words_do_not_resemble_each_other() -> None:
    other = (
        "My brother waits on Friday, then training by the centre; he comes when they said leisure would be out with his"
    )

    assert resemblance(sketch(other), sketch(POST)) < RESEMBLES_FROM


def test_short_posts_resemble_nothing() -> None:
    assert sketch("see you at the park") == []
    assert resemblance(sketch("see you at the park"), sketch("see you at the park")) == 0.0


def test_estimate_stays_near_the_true_share_of_runs() -> None:
    """Over many pairs with a known overlap: the mean error is small, and no sketch outgrows its size."""
    draw = random.Random(11)
    errors = []
    for _ in range(200):
        words = [f"w{draw.randrange(5000)}" for _ in range(60)]
        kept = draw.randrange(10, 55)
        other = [*words[:kept], *(f"v{draw.randrange(5000)}" for _ in range(60 - kept))]
        one, two = sketch(" ".join(words)), sketch(" ".join(other))
        true_runs = [{" ".join(text[i : i + copies.RUN]) for i in range(57)} for text in (words, other)]
        share = len(true_runs[0] & true_runs[1]) / len(true_runs[0] | true_runs[1])
        errors.append(resemblance(one, two) - share)
        assert len(one) == copies.SKETCH

    assert abs(sum(errors) / len(errors)) < 0.03
    assert max(map(abs, errors)) < 0.5
