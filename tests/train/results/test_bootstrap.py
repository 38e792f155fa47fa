import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from dfer.train.results.bootstrap import bootstrap_intervals

LABELS = ("a", "b", "c")


@pytest.fixture
def predictions():
    random = np.random.default_rng(0)
    truth = random.choice(LABELS, 120, p=(0.6, 0.3, 0.1))
    wrong = random.choice(LABELS, 120)
    easy = np.repeat(random.random(12) < 0.6, 10)  # a subject is easy or hard throughout
    return pl.DataFrame(
        {
            "label": truth,
            "predicted": np.where(easy, truth, wrong),
            "subject": np.repeat([f"s{k}" for k in range(12)], 10),
        }
    )


def slow(parts, resamples=600):
    """Resample parts of a table; scikit-learn's figures of each resample."""
    random = np.random.default_rng(1)
    figures = []
    for _ in range(resamples):
        drawn = pl.concat([parts[k] for k in random.integers(len(parts), size=len(parts))])
        pair = drawn["label"].to_list(), drawn["predicted"].to_list()
        figures.append((accuracy_score(*pair), balanced_accuracy_score(*pair)))
    return np.quantile(figures, (0.025, 0.975), axis=0).T


def test_resampling_clips_gives_the_interval_of_the_plain_bootstrap(predictions):
    found = bootstrap_intervals(predictions.with_columns(subject=pl.lit(None, pl.String)), LABELS)
    war, uar = slow([predictions[k] for k in range(120)], 300)
    assert found.drawn == "clips"
    assert found.war == pytest.approx(war, abs=0.025) and found.uar == pytest.approx(uar, abs=0.04)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_resampling_subjects_keeps_the_clips_of_a_person_together(predictions):
    found = bootstrap_intervals(predictions, LABELS)
    war, uar = slow(predictions.partition_by("subject"))
    assert found.drawn == "subjects"
    assert found.war == pytest.approx(war, abs=0.025) and found.uar == pytest.approx(uar, abs=0.04)
    clips = bootstrap_intervals(predictions.with_columns(subject=pl.lit(None, pl.String)), LABELS)
    assert found.war[1] - found.war[0] > 1.3 * (clips.war[1] - clips.war[0])


def test_clips_without_a_label_are_ignored_and_the_seed_matters(predictions):
    more = pl.concat([predictions, predictions.head(5).with_columns(label=pl.lit(None, pl.String))])
    assert bootstrap_intervals(more, LABELS) == bootstrap_intervals(predictions, LABELS)
    assert bootstrap_intervals(predictions, LABELS, seed=1) != bootstrap_intervals(predictions, LABELS)
