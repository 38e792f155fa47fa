"""The folder of several runs: what else is in it is refused, and what a killed command left is not."""

import made_up
import pytest
from made_up import done, refused

CALLS = {
    "a cross-validation": ("crossval", "--folds", "clips:2"),
    "a sweep": ("sweep", "heads", "--fold", 1),
    "a comparison": ("compare", "--models", "quick"),
}
SMALL = ("--image-size", 32, "--num-frames", 2, "--epochs", 1, "--batch-size", 8, "--device", "cpu")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    clips = [made_up.clip("ab"[n % 2], n) for n in range(8)]
    return made_up.cache(tmp_path_factory.mktemp("cache"), "cache", clips)


def call(kind, cache, out):
    command, *arguments = CALLS[kind]
    name = [arguments.pop(0)] if command == "sweep" else []
    return (command, *name, cache, "--out", out, *arguments, *SMALL)


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize(
    "content", ["notes.txt", "clips/happy/a.mp4", "crossval.csv", "sweep.csv", "compare.csv"]
)
def test_a_folder_with_other_things_is_refused(cache, tmp_path, kind, content):
    (tmp_path / "out" / content).parent.mkdir(parents=True)
    (tmp_path / "out" / content).write_text("x")
    line = refused(*call(kind, cache, tmp_path / "out"))
    assert line == f"train: {tmp_path / 'out'} already exists and is not {kind}; choose another --out"


def test_what_a_command_left_that_was_killed_at_once_is_not_in_the_way(cache, tmp_path):
    fold = tmp_path / "out" / "fold_1"
    fold.mkdir(parents=True)
    (fold / "settings.toml").write_text("")
    done("crossval", cache, "--out", tmp_path / "out", "--folds", "clips:2", *made_up.TINY)


def test_a_last_fold_of_another_run_is_refused_before_the_first_is_trained(cache, tmp_path):
    out = tmp_path / "out"
    done("run", cache, "--out", out / "fold_2", *made_up.TINY)
    line = refused("crossval", cache, "--out", out, "--folds", "clips:2", *made_up.TINY)
    assert f"{out / 'fold_2'} contains another run (made with another split: " in line
    assert not (out / "fold_1").exists()
