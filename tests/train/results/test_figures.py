"""Figures by group against scikit-learn's for each group alone."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, recall_score

from dfer.train.results.figures import by_group, compute_figures

LABELS = ("anger", "fear", "neutral")


@pytest.fixture(scope="module")
def predictions():
    """300 clips of 20 subjects; some without a subject, some unusable, some of a class unknown to the network."""
    random = np.random.default_rng(0)
    subjects = [None if number == 0 else f"s{number}" for number in random.integers(0, 20, 300)]
    shares = random.dirichlet(np.ones(3), 300)
    return pl.DataFrame(
        {
            "subject": pl.Series(subjects, dtype=pl.String),
            "label": random.choice([*LABELS, "contempt"], 300),
            "usable": random.random(300) < 0.8,
            "predicted": [LABELS[number] for number in shares.argmax(1)],
            **{f"p_{label}": shares[:, number] for number, label in enumerate(LABELS)},
        }
    )


def test_figures_by_group_equal_scikit_learns(predictions):
    found = by_group(predictions, "subject", LABELS)
    assert len(found) == 20 and found["subject"][0] is None
    for subject, clips, usable, war, uar in found.iter_rows():
        part = predictions.filter(pl.col("subject").eq_missing(subject), pl.col("label") != "contempt")
        truth, predicted = part["label"].to_list(), part["predicted"].to_list()
        assert (clips, usable) == (len(part), part["usable"].sum())
        assert war == pytest.approx(accuracy_score(truth, predicted))
        recall = recall_score(truth, predicted, labels=sorted(set(truth)), average="macro")
        assert uar == pytest.approx(recall)


def test_a_single_group_has_the_figures_of_all_clips(predictions):
    of_all = compute_figures(predictions, LABELS)
    ((_, *found),) = by_group(predictions.with_columns(scene=pl.lit("x")), "scene", LABELS).iter_rows()
    assert found == pytest.approx([of_all.clips, of_all.usable, of_all.war, of_all.uar])
