import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from dfer.schemas.support.errors import UserError
from dfer.train.results.bootstrap import bootstrap_intervals, estimate, paired_difference

LABELS = ("a", "b", "c")


@pytest.fixture
def predictions():
    random = np.random.default_rng(0)
    truth = random.choice(LABELS, 120, p=(0.6, 0.3, 0.1))
    wrong = random.choice(LABELS, 120)
    easy = np.repeat(random.random(12) < 0.6, 10)  # a subject is easy or hard throughout
    return pl.DataFrame(
        {
            "clip_id": [f"c{number:03d}" for number in range(120)],
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


@pytest.fixture
def networks(predictions):
    """Two seeds each of two networks on the same clips, in another order; the second network is a little worse."""
    random = np.random.default_rng(2)

    def another(share):
        wrong = pl.Series(random.choice(LABELS, 120))
        changed = pl.Series(random.random(120) < share)
        table = predictions.with_columns(predicted=pl.when(changed).then(wrong).otherwise("predicted"))
        return table.sample(fraction=1, shuffle=True, seed=int(random.integers(99)))

    return [predictions, another(0.1)], [another(0.2), another(0.3)]


def slow_seeds(networks, column, resamples=500):
    """Resample clips or subjects of aligned tables; for each network scikit-learn's figures averaged over seeds."""
    random, rows = np.random.default_rng(1), [[], []]
    parts = [[t.sort("clip_id").partition_by(column, maintain_order=True) for t in each] for each in networks]
    count = len(parts[0][0])
    for number in range(1 + resamples):
        chosen = random.integers(count, size=count) if number else range(count)
        for row, tables in zip(rows, parts, strict=True):
            drawn = [pl.concat([table[k] for k in chosen]) for table in tables]
            pairs = [(table["label"].to_list(), table["predicted"].to_list()) for table in drawn]
            row.append(
                (
                    np.mean([accuracy_score(*p) for p in pairs]),
                    np.mean([balanced_accuracy_score(*p) for p in pairs]),
                )
            )
    return np.array(rows)  # (2, 1 + resamples, 2)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("column", ["clip_id", "subject"])
def test_figures_over_seeds_and_paired_differences_are_those_of_a_plain_bootstrap(networks, column):
    if column == "clip_id":
        networks = [[t.with_columns(subject=pl.lit(None, pl.String)) for t in each] for each in networks]
    of_a, of_b = slow_seeds(networks, column, 250)
    for found, expected in (
        (estimate(networks[0], LABELS), of_a),
        (paired_difference(*networks, LABELS), of_a - of_b),
    ):
        assert (found.war, found.uar) == pytest.approx(expected[0].tolist())
        low, high = np.quantile(expected[1:], (0.025, 0.975), axis=0)
        assert found.intervals.war == pytest.approx((low[0], high[0]), abs=0.025)
        assert found.intervals.uar == pytest.approx((low[1], high[1]), abs=0.04)
        assert found.intervals.drawn == ("clips" if column == "clip_id" else "subjects")


def test_a_paired_difference_is_sharper_than_two_intervals_and_says_whether_it_excludes_zero(networks):
    (a, _), (b, _) = networks
    found = paired_difference([a], [b], LABELS)
    one = bootstrap_intervals(a, LABELS).war
    low, high = found.intervals.war
    assert high - low < 0.7 * (one[1] - one[0])
    assert found.war > 0 and found.excludes_zero("war") == (low > 0)
    back = paired_difference([b], [a], LABELS)
    assert back.intervals.war == pytest.approx((-high, -low)) and back.war == pytest.approx(-found.war)
    same = paired_difference([a], [a], LABELS)
    assert (same.war, same.intervals.war) == (0, (0, 0)) and not same.excludes_zero("war")
    wrong = a.with_columns(predicted=pl.lit("none"))
    assert paired_difference([a], [wrong], LABELS).excludes_zero("uar")
    assert paired_difference([wrong], [a], LABELS).excludes_zero("uar")


def test_predictions_of_different_clips_are_not_compared(networks):
    a, b = networks
    for other in (b[0].head(119), b[0].with_columns(label=pl.lit("a"))):
        with pytest.raises(UserError, match="the predictions to compare are of different clips"):
            paired_difference(a, [b[1], other], LABELS)
