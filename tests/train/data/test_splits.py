import polars as pl
import pytest

from dfer.schemas.cache import CLIPS_SCHEMA
from dfer.schemas.support.errors import UserError
from dfer.train.data.splits import SplitChoice, choose_split, fold_numbers


def table(**columns):
    count = len(next(iter(columns.values())))
    data = {"clip_id": [f"c{i:02}" for i in range(count)], "status": ["ok"] * count, **columns}
    return pl.DataFrame(data, schema_overrides=CLIPS_SCHEMA).select(
        *(pl.col(n) if n in data else pl.lit(None, k).alias(n) for n, k in CLIPS_SCHEMA.items()),
        cache=pl.lit(0),
    )


def ids(split):
    return split.train["clip_id"].to_list(), split.test["clip_id"].to_list()


def test_the_datasets_own_split_is_used():
    clips = table(label=["a", "b", "a", "b"], split=["train", "train", "val", "test"])
    assert ids(choose_split(clips, SplitChoice(), 0)) == (["c00", "c01"], ["c03"])
    assert ids(choose_split(clips.head(3), SplitChoice(), 0)) == (["c00", "c01"], ["c02"])


def test_unused_clips_and_files_in_both_parts_are_noted():
    clips = table(
        label=["a", "b", "a", "b", "a", None], split=["train", "train", "val", "test", None, "test"]
    )
    assert choose_split(clips, SplitChoice(), 0).notes == (
        "clips that are neither trained on nor tested: 1 without a label, 1 in no split or fold, 1 in the split val",
    )
    clips = table(label=["a", "a", "b"], fold=[1, 2, None], fingerprint=["x", "x", None])
    assert choose_split(clips, SplitChoice(fold=2), 0).notes == (
        "clips that are neither trained on nor tested: 1 in no split or fold",
        "warning: 1 test clip also in the training part (same file content, such as c01)",
    )
    assert choose_split(table(label=["a", "b"] * 4), SplitChoice(holdout=0.5), 0).notes == ()
    without_split = choose_split(table(label=["a", "b", None]), SplitChoice(), 0)
    assert without_split.notes == ("clips that are neither trained on nor tested: 1 without a label",)


def test_a_fold_is_tested_and_the_others_are_trained_on():
    clips = table(label=["a", "b", "a"], fold=[1, 2, 3])
    assert ids(choose_split(clips, SplitChoice(fold=2), 0)) == (["c00", "c02"], ["c01"])
    with pytest.raises(UserError, match="1, 2, 3; choose one with --fold"):
        choose_split(clips, SplitChoice(), 0)
    with pytest.raises(UserError, match="--fold 5: the cache has folds 1, 2, 3"):
        choose_split(clips, SplitChoice(fold=5), 0)


def test_folds_that_overlap_are_read_from_lists():
    clips = table(
        label=["a", "b"] * 3,
        fold=[1, 2, None, None, 3, None],
        test_folds=[None, None, [1, 2], [], None, None],
        train_folds=[None, None, [3], [1, 3], None, None],
    )
    assert fold_numbers(clips) == [1, 2, 3]
    assert ids(choose_split(clips, SplitChoice(fold=1), 0)) == (["c01", "c03", "c04"], ["c00", "c02"])
    assert ids(choose_split(clips, SplitChoice(fold=2), 0)) == (["c00", "c04"], ["c01", "c02"])
    assert ids(choose_split(clips, SplitChoice(fold=3), 0)) == (["c00", "c01", "c02", "c03"], ["c04"])


def test_folds_that_are_only_in_lists_are_offered():
    clips = table(label=["a", "b"], test_folds=[[4], [7]], train_folds=[[7], [4]])
    with pytest.raises(UserError, match="the cache has folds 4, 7; choose one with --fold"):
        choose_split(clips, SplitChoice(), 0)
    assert ids(choose_split(clips, SplitChoice(fold=7), 0)) == (["c00"], ["c01"])


def test_holdout_sets_whole_subjects_apart_chosen_by_the_seed():
    clips = table(label=["a", "b"] * 20, subject=[f"s{i // 4}" for i in range(40)])
    split = choose_split(clips, SplitChoice(holdout=0.3), 0)
    assert set(split.train["subject"]) & set(split.test["subject"]) == set()
    assert split.test["subject"].n_unique() == 3
    assert (
        ids(choose_split(clips, SplitChoice(holdout=0.3), 0))
        == ids(split)
        != ids(choose_split(clips, SplitChoice(holdout=0.3), 1))
    )


def test_holdout_without_subjects_takes_the_same_share_of_every_label():
    split = choose_split(table(label=["a"] * 10 + ["b"] * 20), SplitChoice(holdout=0.2), 0)
    assert split.test["label"].to_list().count("a") == 2
    assert split.test["label"].to_list().count("b") == 4


def test_every_test_clip_with_the_file_of_a_training_clip_counts_in_the_warning():
    clips = table(label=["a", "b"] * 4, fold=[1] * 5 + [2] * 3, fingerprint=["x", "y", "x", "x", "z", *"xxy"])
    assert choose_split(clips, SplitChoice(fold=1), 0).notes == (
        "warning: 4 test clips also in the training part (same file content, such as c00)",
    )


@pytest.mark.parametrize("votes", [False, True])
def test_holdout_splits_the_training_part_of_a_dataset_whose_test_part_has_no_labels(votes):
    """FER2013 as Kaggle shipped it for the challenge."""
    clips = table(
        label=["a", "b"] * 5 + [None] * 4,
        split=["train"] * 10 + ["test"] * 4,
        votes=[None] * 10 + [[1.0, 1.0]] * 4,
    )
    with pytest.raises(UserError, match=r"train split: 10 training and 0 test clips, .* or --holdout$"):
        choose_split(clips, SplitChoice(), 0, votes=votes)
    split = choose_split(clips, SplitChoice(holdout=0.4), 0, votes=votes)
    assert sorted(split.test["label"]) == ["a", "a", "b", "b"] and len(split.train) == 6
    assert split.held_out and not split.official and set(split.train["split"]) == {"train"}
    other = table(label=["a", "b"] * 2).with_columns(cache=pl.lit(1), dataset=pl.lit("other"))
    both = pl.concat([clips.with_columns(dataset=pl.lit("stills")), other])
    assert set(choose_split(both, SplitChoice(holdout=0.5), 0, votes=votes).test["cache"]) == {1}


def test_holdout_takes_its_share_even_if_every_label_has_one_clip():
    clips = table(label=list("abcdef"))
    for holdout, count in ((0.2, 1), (0.5, 3), (0.6, 4)):
        assert len(choose_split(clips, SplitChoice(holdout=holdout), 0).test) == count


def test_without_any_split_the_training_clips_are_tested_and_the_description_says_so():
    split = choose_split(table(label=["a", "b", None]), SplitChoice(), 0)
    assert split.seen and ids(split) == (["c00", "c01"],) * 2
    assert "the training clips themselves" in split.description


def test_unlabelled_clips_and_an_empty_part_are_refused():
    with pytest.raises(UserError, match="no clip in the cache has a label"):
        choose_split(table(label=[None, None]), SplitChoice(), 0)
    with pytest.raises(UserError, match="2 training and 0 test clips"):
        choose_split(table(label=["a", "b"]), SplitChoice(holdout=0.1), 0)


def test_folds_of_subjects_are_disjoint_complete_and_of_similar_size():
    clips = table(label=["a", "b"] * 50, subject=[f"s{i % 7 if i < 60 else i % 23}" for i in range(100)])
    parts = [choose_split(clips, SplitChoice(fold=k, subject_folds=5), 0) for k in range(1, 6)]
    assert sorted(clip for part in parts for clip in part.test["clip_id"]) == clips["clip_id"].to_list()
    assert all(set(part.train["subject"]).isdisjoint(part.test["subject"]) for part in parts)
    assert all(15 <= len(part.test) <= 25 for part in parts)
    other = choose_split(clips, SplitChoice(fold=1, subject_folds=5), 1)
    assert ids(other) != ids(parts[0])


def test_folds_of_subjects_need_subjects_and_at_most_as_many_folds():
    with pytest.raises(UserError, match="no subjects in the cache"):
        choose_split(table(label=["a", "b"]), SplitChoice(fold=1, subject_folds=2), 0)
    with pytest.raises(UserError, match="1 clip of the cache without a subject"):
        choose_split(table(label=["a", "b"], subject=["x", None]), SplitChoice(fold=1, subject_folds=2), 0)
    clips = table(label=["a", "b"], subject=["x", "y"])
    with pytest.raises(UserError, match="subject:3: the cache has 2 subjects; every fold needs at least one"):
        choose_split(clips, SplitChoice(fold=1, subject_folds=3), 0)


def plain_clip_folds(clips, folds, seed):
    """The ids of each fold: every label's clips, in the drawn order, dealt like cards; the next label goes on."""
    drawn = clips.drop_nulls("label").sort("clip_id").sample(fraction=1, shuffle=True, seed=seed)
    dealt, turn = [set() for _ in range(folds)], 0
    for label in sorted(set(drawn["label"])):
        for clip_id, own in zip(drawn["clip_id"], drawn["label"], strict=True):
            if own == label:
                dealt[turn % folds].add(clip_id)
                turn += 1
    return dealt


def test_folds_of_clips_have_equal_shares_of_every_label_and_depend_only_on_the_seed():
    labels = ["a"] * 23 + ["b"] * 11 + ["c"] * 3 + [None] * 2
    clips = table(label=labels, status=["ok", "no_face", "ok"] * 13)
    for folds, seed in ((2, 0), (5, 0), (5, 1), (12, 3)):
        choices = [SplitChoice(fold=fold, clip_folds=folds) for fold in range(1, folds + 1)]
        parts = [choose_split(clips, choice, seed) for choice in choices]
        assert [set(part.test["clip_id"]) for part in parts] == plain_clip_folds(clips, folds, seed)
        for part in parts:
            assert sorted([*part.train["clip_id"], *part.test["clip_id"]]) == clips["clip_id"].to_list()[:37]
        for kept in ("a", "b", "c", "abc"):
            counts = [part.test["label"].is_in([*kept]).sum() for part in parts]
            assert max(counts) - min(counts) <= 1
        mixed = choose_split(clips[::-1], choices[0], seed)
        assert sorted(mixed.test["clip_id"]) == sorted(parts[0].test["clip_id"])
    assert plain_clip_folds(clips, 5, 0) != plain_clip_folds(clips, 5, 1)


def test_folds_of_clips_need_as_many_labelled_clips_and_warn_of_people_in_both_parts():
    clips = table(label=["a", "b", "a", "b", None], subject=["x", "y", "y", "x", "x"])
    with pytest.raises(UserError, match="clips:5: the cache has 4 clips with a label; every fold needs"):
        choose_split(clips, SplitChoice(fold=1, clip_folds=5), 0)
    split = choose_split(clips, SplitChoice(fold=1, clip_folds=4), 0)
    assert any(note.startswith("warning: 1 subject in both training and test") for note in split.notes)


def test_people_in_both_parts_and_classes_without_training_clips_are_noted():
    clips = table(
        label=["a", "b", "b", "c", "a"],
        split=["train", "train", "test", "test", "test"],
        subject=["s1", "s2", "s1", "s3", None],
        status=["ok", "no_face", "ok", "ok", "ok"],
    )
    assert choose_split(clips, SplitChoice(), 0).notes == (
        "warning: classes without a usable training clip: b (1 test clip), c (1 test clip)",
        "warning: 1 subject in both training and test clips (such as s1)",
    )


VOTED = {
    "label": ["a", "b", None, "a", "b", None, None] * 2,
    "votes": [[2, 1], [0, 3], [2, 2], [1, 0], None, [1, 1], None] * 2,
}


@pytest.mark.parametrize(
    ("columns", "choice", "tied"),
    [
        ({"split": ["train"] * 3 + ["test"] * 4 + ["train"] * 7}, SplitChoice(), [2, 9, 12]),
        ({"fold": [1] * 3 + [2] * 11}, SplitChoice(fold=1), [5, 9, 12]),
        ({"subject": ["x"] * 4 + ["y"] * 3 + ["x"] * 7}, SplitChoice(holdout=0.5), None),
        # x has more labelled clips, y more clips: folds are dealt out by the labelled ones.
        ({"subject": [*"xxyxxyyxyyyyyy"]}, SplitChoice(fold=1, subject_folds=2), None),
        ({}, SplitChoice(holdout=0.5), [2, 5, 9, 12]),
        ({}, SplitChoice(fold=2, clip_folds=3), [2, 5, 9, 12]),
        ({}, SplitChoice(), [2, 5, 9, 12]),
    ],
)
def test_clips_with_votes_but_no_label_are_trained_on_if_asked_for_and_never_tested(columns, choice, tied):
    clips = table(**VOTED, **columns)
    hard, soft = choose_split(clips, choice, 0), choose_split(clips, choice, 0, votes=True)
    assert soft.test.equals(hard.test) and soft.description == hard.description
    more = {*ids(soft)[0]} - {*ids(hard)[0]}
    tested = {*soft.test["subject"].drop_nulls()}
    if tied is None:  # people who are tested are not trained on
        tied = [n for n in (2, 5, 9, 12) if columns["subject"][n] not in tested]
    assert tied and more == {f"c{number:02}" for number in tied} and {*ids(hard)[0]} < {*ids(soft)[0]}
    assert "6 without a label (4 of them with votes: `train run --soft-labels` trains" in hard.notes[0]
    left = 6 - len(tied)
    assert f"neither trained on nor tested: {left} without a label" in soft.notes[0]
    (note,) = [note for note in soft.notes if note.startswith("soft labels")]
    assert f"with votes, {len(tied)} of them without a majority" in note
