"""The benchmark runs and its figures agree with each other; how fast a machine is, no test can say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from classifiers.base_model import MINILM
from classifiers.bench import mixes, useful_flops
from classifiers.corpus import Split, read_corpus, split_posts

pytestmark = pytest.mark.model


def test_figures_agree_with_each_other(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    command = ["bench", "score", "--posts", "20", "--rounds", "1", "--threads", "1", "--json", str(file)]

    result = subprocess.run(
        [sys.executable, "-m", "workers.cli", *command], capture_output=True, text=True, timeout=300
    )

    assert result.returncode == 0, result.stderr
    assert "random weights" in result.stdout
    report = json.loads(file.read_text(encoding="utf-8"))
    assert set(report["mixes"]) == {"hard", "ordinary"}
    for rows in report["mixes"].values():
        assert rows["posts"] == 20
        assert 0.0 <= rows["share_read_twice"] <= 1.0
        assert rows["pipeline"]["posts_per_second"] / rows["bare"]["posts_per_second"] == pytest.approx(
            rows["pipeline"]["of_bare"]
        )
        assert rows["pipeline"]["posts_per_second"] / rows["detoxify"]["posts_per_second"] == pytest.approx(
            rows["pipeline"]["times_detoxify"]
        )
        peak = report["matmul_peak_flops_per_second"]
        assert rows["first"]["flops_per_second"] / peak == pytest.approx(rows["first"]["share_of_peak"])


def test_ordinary_mix_holds_one_flagged_post_in_ten() -> None:
    posts = split_posts(read_corpus())[Split.TEST]
    flagged = {post.text for post in posts if post.flag}

    ordinary = mixes(posts, 200)["ordinary"]

    assert len(ordinary) == len(set(ordinary)) == 200
    assert sum(text in flagged for text in ordinary) == 20


def test_work_is_counted_from_the_shape() -> None:
    # One token: six blocks of four square projections and two wide ones, plus attention to itself.
    assert useful_flops(MINILM.shape, [1]) == 6 * (2 * (4 * 384**2 + 2 * 384 * 1536) + 4 * 384)
    assert useful_flops(MINILM.shape, [10, 10]) == 2 * useful_flops(MINILM.shape, [10])
