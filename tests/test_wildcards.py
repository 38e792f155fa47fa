"""Every command gives the same results in a folder whose name has wildcards, next to one that they match.

What the neighbour's files contain is wrong everywhere: a path that is taken for a pattern gives an error or other
results.
"""

import hashlib
import html
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import made_up
import polars as pl
import pytest
import torch

from dfer.pipeline.cli import main as pipeline
from dfer.train.cli import main as train

PLAIN, WILD, MATCHED = "plain", "a [1]?*é", "a 1xyé"
QUICK = ("--frames", 2, "--workers", 1)
SWEEP = """base = "quick"
title = "Two depths"
[[variant]]
name = "1"
what = "one layer"
set = {depth = 1}
"""
# What depends on the time or the place, not on what was read.
TIMED = ("seconds", "clips_per_second", "waiting", "training_clips_per_second", "inference_clips_per_second")
TIMED += ("training_memory",)
PLACES = ("path", "cache")
NOT_REPEATED = ("benchmark", "run", "sweep", "compare", "doctor", "live")  # they print it as well


def calls(root: Path) -> Iterator[tuple]:
    """Each command of both programs with its paths below a folder, in the order in which they need each other."""
    clips, cache, crops, models = root / "clips", root / "cache", root / "crops", root / "models"
    run, other, faces = root / "run", root / "init", root / "made-up"
    yield "pipeline", "sample", clips, "--json"
    yield "pipeline", "models", "--models", models, "--json"
    yield "pipeline", "doctor", "--models", models
    yield "pipeline", "datasets", "--json"
    yield "pipeline", "manifest", clips, "--out", root / "manifest.parquet", "--json"
    yield "pipeline", "extract", root / "two.csv", "--out", cache, "--models", models, *QUICK, "--json"
    yield "pipeline", "verify", cache, "--json"
    yield "pipeline", "report", cache, "--out", root / "cache.html"
    yield "pipeline", "share", cache, root / "shared", "--json"
    table = root / "predictions_baseline.parquet"
    yield "train", "baseline", root / "shared", "--predictions", table, "--json"
    reuse = ("--reuse", root / "shared", "--size", 64, "--models", models)
    yield "pipeline", "extract", root / "two.csv", "--out", crops, *reuse, *QUICK, "--slice", "0/1", "--json"
    yield "pipeline", "shard", crops, root, 0, *reuse[:2], *reuse[4:]
    yield "pipeline", "finalize", crops, "--json"
    tiny = ("--preset", root / "tiny.toml", "--epochs", 1, "--batch-size", 8, "--device", "cpu")
    yield "train", "run", faces, "--out", other, *tiny, "--holdout", 0.5
    yield "train", "run", faces, cache, "--out", run, *tiny, "--init-from", other
    yield "train", "run", faces, cache, "--out", run, *tiny, "--init-from", other, "--resume"
    tables = ("--predictions", root / "predictions.csv", "--confusion", root / "confusion.png")
    yield "train", "evaluate", run, faces, "--clips", "all", *tables, "--json"
    yield "train", "predict", run, faces, cache, "--csv", root / "answers.csv", "--json"
    yield "train", "live", "default", clips / "1001_DFA_HAP_XX.flv"
    yield "train", "export", run, "--format", "safetensors", "--out", root / "weights.safetensors", "--json"
    yield "train", "report", run, "--out", root / "run.html"
    yield "train", "crossval", faces, "--out", root / "folds", "--folds", "subject:2", *tiny, "--json"
    sweep = ("--out", root / "variants", *tiny[2:], "--holdout", 0.5, *made_up.TINY[2:8], "--tensorboard")
    yield "train", "sweep", root / "sweep.toml", faces, *sweep, "--json"
    compare = ("--out", root / "compared", "--recipe", root / "tiny.toml", *tiny[2:], "--holdout", 0.5)
    yield "train", "compare", faces, "--models", "quick", *compare, "--json"
    yield "train", "describe", "--preset", root / "tiny.toml", "--json"
    timing = ("--batch-sizes", 1, "--seconds", 0, "--device", "cpu")
    yield "train", "benchmark", "--preset", root / "tiny.toml", *timing


def prepared(root: Path, sample_clips: Path, model_paths) -> Path:
    """A folder with what the commands start from."""
    root.mkdir()
    shutil.copytree(sample_clips, root / "clips")
    (root / "models").mkdir()
    for path in vars(model_paths).values():
        (root / "models" / path.name).symlink_to(path)
    names = sorted(path.name for path in (root / "clips").iterdir())[:2]
    rows = "".join(f"clips/{name},{label}\n" for name, label in zip(names, "ab", strict=True))
    (root / "two.csv").write_text(f"path,label\n{rows}")
    faces = [made_up.clip("ab"[n % 2], n, size=128, subject="xy"[n // 2 % 2]) for n in range(8)]
    made_up.cache(root, "made-up", faces)
    (root / "tiny.toml").write_text(
        "[network]\nstage_strides = [1, 2, 2, 2]\ndepth = 1\n[data]\nimage_size = 32\nnum_frames = 2\n"
    )
    (root / "sweep.toml").write_text(SWEEP)
    return root


def walk(here, cli, root: Path) -> list[str]:
    """Run all commands; what each prints, without the folder's name."""
    printed = []
    for program, command, *arguments in calls(root):
        start = cli if command == "shard" else here  # it ends its process when its parent ends
        outcome = start(program, command, *arguments)
        assert outcome.returncode == 0, (command, arguments, outcome.stderr)
        text = outcome.stdout.replace(json.dumps(str(root))[1:-1], "ROOT").replace(str(root), "ROOT")
        printed.append(f"{command}: {text}" if command not in NOT_REPEATED else command)
    return printed


def results(root: Path) -> dict[str, object]:
    """The content of every file that does not depend on the time or the place."""
    found: dict[str, object] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink()):
        name = path.relative_to(root).as_posix()
        if path.suffix == ".csv":
            table = pl.read_csv(path, glob=False)
            found[name] = table.drop(*TIMED, *PLACES, strict=False).write_csv()
        elif path.suffix == ".pt":
            model = torch.load(path, weights_only=True)["model"]
            found[name] = {key: hashlib.sha256(value.numpy()).hexdigest() for key, value in model.items()}
        elif path.name.startswith(
            ("predictions", "baseline")
        ):  # a cross-validation's metadata has the cache's place
            found[name] = pl.read_parquet(path, glob=False).write_csv()
        elif path.suffix in (".parquet", ".arrow", ".png", ".toml"):
            found[name] = path.read_bytes()
        elif path.name == "compare.html":
            found[name] = None  # shows speeds
        elif path.suffix == ".html":
            page = path.read_text().replace(html.escape(str(root)), "ROOT")
            found[name] = re.sub(r"train report [0-9a-f]{64}", "", page)  # the hash of a run with its place
        elif "tfevents" not in name:
            found[name] = None
    return found


@pytest.fixture(scope="module")
def walked(here, cli, sample_clips, model_paths, tmp_path_factory):
    """Folder → what was printed there, and the results; first the plain one, then the one with wildcards."""
    parent, found = tmp_path_factory.mktemp("wildcards"), {}
    for name in (PLAIN, WILD):
        root = prepared(parent / name, sample_clips, model_paths)
        if name == WILD:
            for path in (parent / PLAIN).rglob("*"):
                neighbour = parent / MATCHED / path.relative_to(parent / PLAIN)
                neighbour.parent.mkdir(parents=True, exist_ok=True)
                if path.is_file():
                    neighbour.write_bytes(b"the neighbour's")
        found[name] = (walk(here, cli, root), results(root))
    return found


def test_the_walk_has_every_command_of_both_programs():
    walked = {call[:2] for call in calls(Path())}
    commands = {("pipeline", name) for name in pipeline.commands} | {
        ("train", name) for name in train.commands
    }
    # The paths of a job are on stdin; a server never ends, and its videos have no names on the disk.
    assert walked == commands - {("train", "job"), ("train", "serve")}


def test_the_name_is_a_pattern_that_the_neighbour_matches():
    assert Path(MATCHED).match(WILD) and not Path(WILD).match(WILD)


def test_every_command_prints_the_same(walked):
    plain, wild = (walked[name][0] for name in (PLAIN, WILD))
    assert wild == plain


def test_every_command_writes_the_same(walked):
    plain, wild = (walked[name][1] for name in (PLAIN, WILD))
    assert wild.keys() == plain.keys()
    assert [name for name in plain if plain[name] != wild[name]] == []
    assert {"cache/clips.parquet", "crops/clips.parquet", "run/last.pt", "folds/crossval.csv"} <= wild.keys()
