"""The shipped model behind the contract: what a worker gets for its texts."""

import json
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.artefact import ARTEFACT_DIR, FIRST, HEADS, ArtefactError
from classifiers.corpus import Split, read_corpus, split_posts
from classifiers.pipeline import Pipeline
from triage.domain.policy import assess
from triage.domain.scores import NotAssessed, Scores
from triage.domain.taxonomy import CONTEXTS, SCORED_CODES

pytestmark = pytest.mark.model

PAIRS = [json.loads(line) for line in Path("tests/data/contrast_pairs.jsonl").read_text(encoding="utf-8").splitlines()]
#: Measured on the shipped model. Whoever lowers one says in docs/evaluation.md what was gained for it.
PAIRS_RIGHT = 16
TEST_ACCURACY = 0.82


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.load(threads=2)


def as_numbers(scores: Scores) -> list[float]:
    return [*scores.labels.values(), *scores.contexts.values(), scores.review, scores.urgent]


def test_scores_keep_the_contract(pipeline: Pipeline) -> None:
    text = "Tell Kieran I'm at his bus stop 3:30 with the sh4nk \U0001f52a"

    [scores] = pipeline.score([text])

    assert scores.assessed
    assert set(scores.labels) == set(SCORED_CODES)
    assert set(scores.contexts) == set(CONTEXTS)
    assert all(0.0 <= value <= 1.0 for value in as_numbers(scores))
    assert assess(scores).flagged
    assert scores.versions["pipeline"] == pipeline.version
    lexicon = [text[span.start : span.end] for span in scores.evidence if span.source == "lexicon"]
    assert lexicon == ["sh4nk", "\U0001f52a"]
    model = [span for span in scores.evidence if span.source == "model"]
    assert 1 <= len(model) <= 3
    assert all(text[span.start : span.end].strip() for span in model)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", NotAssessed.EMPTY),
        (" \n\t", NotAssessed.EMPTY),
        ("1234 ... !!", NotAssessed.NO_WORDS),
        ("\x00\x00\u200b", NotAssessed.NO_WORDS),
        ("приходи завтра к школе", NotAssessed.UNKNOWN_LANGUAGE),
    ],
)
def test_what_cannot_be_read_is_not_assessed(pipeline: Pipeline, text: str, reason: NotAssessed) -> None:
    [scores] = pipeline.score([text])

    assert (scores.not_assessed, scores.labels, scores.review) == (reason, {}, 0.0)
    assert assess(scores).flagged


def test_one_poison_post_does_not_break_the_others(pipeline: Pipeline) -> None:
    healthy = "he said he'd be waiting for me outside work again"
    [alone] = pipeline.score([healthy])

    poison = [None, 5, "\ud800", "e" + "\u0301" * 20_000, "\x00 x \udfff", "🔪" * 3000]
    mixed = pipeline.score([healthy, *poison, healthy])  # type: ignore[list-item]  # a caller's mistake is poison too

    assert [scores.not_assessed for scores in mixed[1:3]] == [NotAssessed.MODEL_FAILED] * 2
    assert as_numbers(mixed[0]) == pytest.approx(as_numbers(alone), abs=0.02)
    assert as_numbers(mixed[-1]) == pytest.approx(as_numbers(alone), abs=0.02)


def test_order_and_batch_do_not_change_scores(pipeline: Pipeline) -> None:
    texts = [post.text for post in read_corpus()[:70]]

    together = pipeline.score(texts)

    alone = [pipeline.score([text])[0] for text in texts[::10]]
    for batched, single in zip(together[::10], alone, strict=True):
        assert as_numbers(batched) == pytest.approx(as_numbers(single), abs=0.02)
        assert batched.evidence == single.evidence or batched.review == pytest.approx(single.review, abs=0.02)


def test_threat_deep_in_a_long_post_is_found(pipeline: Pipeline) -> None:
    filler = "We had a lovely walk by the river and the dog met some ducks. " * 60
    threat = "Darnell I know where you live, I'm coming to your house tonight to stab you."

    [long_post, only_filler] = pipeline.score([filler + threat + filler, filler])

    assert assess(long_post).flagged
    assert not assess(only_filler).flagged
    strongest = next(span for span in long_post.evidence if span.source == "model")
    near = 600  # characters, about a window: a word beside the threat may carry it (docs/evaluation.md, "Round 5")
    assert len(filler) - near <= strongest.start < strongest.end <= len(filler + threat) + near


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(alphabet=st.characters(), max_size=60), max_size=6))
def test_any_text_gets_an_answer_and_spans_inside_it(pipeline: Pipeline, texts: list[str]) -> None:
    results = pipeline.score(texts)

    assert len(results) == len(texts)
    for text, scores in zip(texts, results, strict=True):
        assert scores.not_assessed is not NotAssessed.MODEL_FAILED
        assert all(0 <= span.start < span.end <= len(text) for span in scores.evidence)


def test_disguise_hardly_changes_the_scores(pipeline: Pipeline) -> None:
    plain, hidden = pipeline.score(["I will stab you tomorrow", "I w1ll s.t.a.b y\u200bоu tomorrow"])

    assert hidden.review == pytest.approx(plain.review, abs=0.02)


def test_contrast_pairs_are_told_apart(pipeline: Pipeline) -> None:
    scores = pipeline.score([pair["text"] for pair in PAIRS])
    right: dict[int, bool] = defaultdict(lambda: True)
    for pair, said in zip(PAIRS, scores, strict=True):
        right[pair["pair"]] &= assess(said).flagged is pair["flag"]

    assert len(right) == 25
    assert sum(right.values()) >= PAIRS_RIGHT, f"wrong: {[pair for pair, ok in right.items() if not ok]}"


def test_held_out_posts_are_flagged_as_well_as_published(pipeline: Pipeline) -> None:
    posts = split_posts(read_corpus())[Split.TEST]

    flagged = [assess(scores).flagged for scores in pipeline.score([post.text for post in posts])]

    right = sum(said is post.flag for said, post in zip(flagged, posts, strict=True))
    assert right / len(posts) >= TEST_ACCURACY


def test_same_files_give_the_same_version(pipeline: Pipeline) -> None:
    assert Pipeline.load(threads=1).version == pipeline.version


def test_altered_model_is_refused(tmp_path: Path) -> None:
    artefact = Path(shutil.copytree(ARTEFACT_DIR, tmp_path / "artefact"))
    (artefact / FIRST / HEADS).write_bytes(b"other")

    with pytest.raises(ArtefactError, match="has been altered"):
        Pipeline.load(directory=artefact)


def test_a_worker_stays_small_and_imports_no_training_code() -> None:
    """In a process of its own: this one has already loaded everything."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from classifiers.pipeline import Pipeline\n"
        "pipeline = Pipeline.load(threads=1)\n"
        "pipeline.score(['see you at the corner shop tonight'] * 64)\n"
        "pipeline.score(['I will be at your house tonight and you will regret what you said. ' * 40] * 32)\n"
        "status = Path('/proc/self/status').read_text().split()\n"
        "print(int(status[status.index('VmRSS:') + 1]) // 1024, 'peft' in sys.modules)\n"
    )

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)

    megabytes, imported_peft = result.stdout.split()
    assert int(megabytes) < 700
    assert imported_peft == "False"


def test_score_command(tmp_path: Path) -> None:
    posts = tmp_path / "posts.jsonl"
    posts.write_text('{"id": "a", "text": "lovely weather for the allotment"}\n{"id": "b"}\n', encoding="utf-8")
    command = "import typer; from classifiers.cli import score; typer.run(score)"

    result = subprocess.run(
        [sys.executable, "-c", command, str(posts), "--threads", "1"], capture_output=True, text=True, timeout=60
    )

    assert result.returncode == 1
    [row] = [json.loads(line) for line in result.stdout.splitlines()]
    assert (row["id"], row["flagged"], row["assessed"]) == ("a", False, True)
    assert 'line 2: "text": is missing' in result.stderr
