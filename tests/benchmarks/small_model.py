"""Train the small model that comes with the package, measure it, and write its file.

    pipeline extract FERPLUS --out stills --blendshapes
    pipeline extract CLIPS --out clips --blendshapes
    python tests/benchmarks/small_model.py stills --clips clips --out train/use/small_model.safetensors
    python tests/benchmarks/small_model.py stills --choose

FERPLUS is a dataset of stills with votes and the parts train, val and test, such as FER2013's pixels with the votes
of FER+. The perceptron is trained on the votes of the part `train`, without pictures that another part has too.
`--choose` compares settings on the part `val`: mean cross-entropy with the votes, WAR and UAR. Measured are the part
`test` and the caches of `--clips`: nothing is trained or chosen on them. The same caches give the same numbers.
"""

import argparse
import dataclasses
import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from dfer.schemas.blendshapes import FLIP
from dfer.schemas.keypoints import LANDMARK_FLIP
from dfer.schemas.support.files import target_file, write_atomic
from dfer.train.data.caches import Pool, fingerprints, open_pool, usable, with_label
from dfer.train.data.class_matching import match_classes, most_frequent, only_covered, target_shares
from dfer.train.data.landmark_features import read_frames
from dfer.train.models.landmark_regression import moments
from dfer.train.results.bootstrap import bootstrap_intervals
from dfer.train.results.figures import compute_figures
from dfer.train.results.metrics import percent, recalls
from dfer.train.results.predictions import prediction_table
from dfer.train.use.small_model import SmallModel, as_bytes, inputs, read_model


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the perceptron is trained: AdamW, the learning rate falls to 0 along a cosine.

    mirrored: whether every still is shown as its mirror image half of the time
    adjustment: how much of the logarithm of the classes' frequency is taken from the scores afterwards, 0–1: rare
        classes are then found more often, frequent ones less
    """

    units: int = 128
    epochs: int = 60
    batch_size: int = 512
    learning_rate: float = 5e-3
    weight_decay: float = 0.01
    dropout: float = 0.0
    mirrored: bool = True
    adjustment: float = 0.3
    seed: int = 0


CHANGES: tuple[Mapping[str, Any], ...] = (
    {},
    {"epochs": 120},
    {"learning_rate": 1e-2},
    {"weight_decay": 0.1},
    {"units": 64},
    {"units": 64, "learning_rate": 1e-2},
    {"units": 256, "dropout": 0.1},
    {"mirrored": False},
    {"dropout": 0.1},
    {"adjustment": 0.0},
    {"adjustment": 0.2},
    {"adjustment": 0.4},
    {"adjustment": 0.5},
)
SEEDS = (0, 1)


@dataclass(frozen=True, kw_only=True)
class Stills:
    """Stills with a face and expression scores.

    features, mirrored: (stills, 188), `inputs` of them and of their mirror images
    shares: (stills, classes) of the votes
    """

    features: np.ndarray
    mirrored: np.ndarray
    shares: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stills", type=Path)
    parser.add_argument("--clips", type=Path, action="append", default=[])
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("small_model.safetensors"))
    parser.add_argument("--epochs", type=int, default=Settings.epochs)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    pool = open_pool(options.stills, faces=False)
    settings = Settings(epochs=options.epochs)
    trained, left_out = training_part(pool.clips)
    stills = read_stills(pool, trained)
    if options.choose:
        choose(pool, stills, settings)
        return
    target = target_file(options.out)
    about = described(pool, stills, left_out, settings)
    model = rounded(train(pool.labels, stills, settings, about))
    figures = [measured(model, pool, part(pool.clips, "test"), f"{pool.dataset}, part test")]
    for folder in options.clips:
        clips = open_pool(folder, faces=False)
        figures += of_other_clips(model, clips)
    write_atomic(target, as_bytes(dataclasses.replace(model, about={**about, "figures": figures})))
    print(f"{target}: {target.stat().st_size} bytes")
    for line in map(in_words, figures):
        print(line)


def part(clips: pl.DataFrame, name: str) -> pl.DataFrame:
    return clips.filter(pl.col("split") == name)


def training_part(clips: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The usable stills to train on, and how many are left out because another part has the same file."""
    known = pl.col("label").is_not_null() | pl.col("votes").is_not_null()
    trained = usable(part(clips, "train")).filter(known)
    elsewhere = fingerprints(clips.filter(pl.col("split") != "train"))["fingerprint"]
    kept = trained.filter(~pl.col("fingerprint").is_in(elsewhere.implode()))
    return kept, len(trained) - len(kept)


def read_stills(pool: Pool, clips: pl.DataFrame) -> Stills:
    """What the landmark tables say of usable stills that have votes or a label."""
    features, mirrored, places = [], [], []
    for frames in read_frames(pool, clips, scores=True):
        counts = np.diff(frames.starts, append=len(frames.found))
        seen = frames.found & ~np.isnan(frames.scores[:, 0])
        scores, points = frames.scores[seen], frames.points[seen]
        features.append(inputs(scores, points))
        mirrored.append(inputs(scores[:, FLIP], points[:, LANDMARK_FLIP] * (-1, 1)))
        places.append(np.repeat(frames.clips, counts)[seen])
    order = np.argsort(np.concatenate(places), kind="stable")  # shards come in any order
    shares = target_shares(clips, pool.labels)[np.concatenate(places)]
    return Stills(
        features=np.concatenate(features)[order],
        mirrored=np.concatenate(mirrored)[order],
        shares=shares[order],
    )


def train(
    labels: tuple[str, ...], stills: Stills, settings: Settings, about: Mapping[str, Any]
) -> SmallModel:
    """Train a perceptron on the votes of stills."""
    mean, deviation = moments(np.concatenate([stills.features, stills.mirrored]))
    shown = [
        torch.tensor((each - mean) / deviation, dtype=torch.float32)
        for each in (stills.features, stills.mirrored)
    ]
    torch.manual_seed(settings.seed)
    hidden = torch.nn.Linear(len(mean), settings.units)
    output = torch.nn.Linear(settings.units, len(labels))
    network = torch.nn.Sequential(hidden, torch.nn.ReLU(), torch.nn.Dropout(settings.dropout), output)
    rates = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    optimizer = torch.optim.AdamW(network.parameters(), **rates)
    steps = settings.epochs * -(-len(stills.shares) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for features, shares in batches(*shown, torch.tensor(stills.shares), settings):
        loss = -(shares * network(features).log_softmax(1)).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    numbers = {
        f"{name}_{kind}": getattr(layer, of).detach().double().numpy()
        for name, layer in (("hidden", hidden), ("output", output))
        for kind, of in (("weights", "weight"), ("bias", "bias"))
    }
    shares = stills.shares.mean(0, dtype=np.float64)
    numbers["output_bias"] -= settings.adjustment * np.log(shares)
    return SmallModel(labels=labels, mean=mean, deviation=deviation, shares=shares, about=about, **numbers)


def batches(
    features: Tensor, mirrored: Tensor, shares: Tensor, settings: Settings
) -> Iterator[tuple[Tensor, Tensor]]:
    """The stills of each step, with their shares: every epoch all of them in another order."""
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(shares)).split(settings.batch_size):
            flipped = settings.mirrored & (torch.rand(len(rows), 1) < 0.5)
            yield torch.where(flipped, mirrored[rows], features[rows]), shares[rows]


def rounded(model: SmallModel) -> SmallModel:
    """The model as its file keeps it, which is what is measured."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(as_bytes(model))
        return read_model(path)


def choose(pool: Pool, stills: Stills, settings: Settings) -> None:
    """Print what each change of the settings gives on the part `val`, mean over the seeds."""
    known = pl.col("label").is_not_null() | pl.col("votes").is_not_null()
    judged = read_stills(pool, usable(part(pool.clips, "val")).filter(known))
    print(f"{len(judged.shares)} stills of the part val; cross-entropy with the votes (by seed), WAR and UAR")
    for change in CHANGES:
        losses, figures = [], []
        for seed in SEEDS:
            model = train(pool.labels, stills, dataclasses.replace(settings, **change, seed=seed), {})
            losses.append(-(judged.shares * model.log_probabilities(judged.features)).sum(1).mean())
            result = compute_figures(predicted(model, pool, with_label(part(pool.clips, "val"))), pool.labels)
            figures.append((result.war, result.uar))
        war, uar = map(percent, np.mean(figures, axis=0))
        words = ", ".join(f"{name} {value}" for name, value in change.items()) or "as it is"
        print(
            f"{np.mean(losses):.4f} ({', '.join(f'{x:.4f}' for x in losses)})  {war}  {uar}  {words}",
            flush=True,
        )


def described(pool: Pool, stills: Stills, left_out: int, settings: Settings) -> dict[str, Any]:
    """What the model was trained on and how, for its file."""
    info = pool.caches[0].info
    return {
        "trained_on": {
            "dataset": pool.dataset,
            "part": "train",
            "stills": len(stills.shares),
            "left_out_because_in_another_part_too": left_out,
            "cache_settings_hash": info.settings_hash,
            "versions": info.versions,
        },
        "extraction": info.settings,
        "settings": {**dataclasses.asdict(settings), "torch": torch.__version__},
        "date": datetime.date.today().isoformat(),
        "script": "tests/benchmarks/small_model.py",
    }


def predicted(
    model: SmallModel, pool: Pool, clips: pl.DataFrame, answers: tuple[str, ...] | None = None
) -> pl.DataFrame:
    """The prediction table of labelled clips.

    answers: the labels to choose from; the others are left out and the rest is divided by its sum
    """
    labels = answers or model.labels
    found = model.probabilities(pool, usable(clips), lambda done: None)
    found = found[:, [model.labels.index(label) for label in labels]]
    shares = model.shares[[model.labels.index(label) for label in labels]]
    return prediction_table(clips, found / found.sum(1, keepdims=True), labels, labels[int(shares.argmax())])


def of_other_clips(model: SmallModel, pool: Pool) -> list[dict[str, Any]]:
    """The figures on clips of another dataset: choosing from all labels, and from those that the dataset has."""
    clips = match_classes(pool.clips, model.labels).clips
    occurring = tuple(label for label in model.labels if (clips["label"] == label).any())
    figures = [measured(model, pool, clips, pool.dataset)]
    if len(occurring) < len(model.labels):
        figures.append(measured(model, pool, clips, pool.dataset, occurring))
    return figures


def measured(
    model: SmallModel, pool: Pool, clips: pl.DataFrame, where: str, answers: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """WAR and UAR on labelled clips, with 95 % intervals, chance and the most frequent class.

    answers: see `predicted`
    """
    labels = answers or model.labels
    clips = only_covered(clips, labels)
    table = predicted(model, pool, clips, answers)
    figures, intervals = compute_figures(table, labels), bootstrap_intervals(table, labels)
    frequent = most_frequent(clips)
    each = recalls(figures.confusion)
    return {
        "clips": where,
        "answers": list(labels),
        "count": figures.clips,
        "unusable": figures.clips - figures.usable,
        "war": round(figures.war, 4),
        "war_interval": [round(end, 4) for end in intervals.war],
        "uar": round(figures.uar, 4),
        "uar_interval": [round(end, 4) for end in intervals.uar],
        "drawn": intervals.drawn,
        "chance": round(1 / len(labels), 4),
        "most_frequent": {
            "label": frequent,
            "war": round((clips["label"] == frequent).mean(), 4),
            "uar": round(1 / clips["label"].n_unique(), 4),
        },
        "recall": {label: round(float(x), 4) for label, x in zip(labels, each, strict=True) if x == x},
    }


def in_words(figures: Mapping[str, Any]) -> str:
    war, uar = (
        f"{percent(figures[name])} ({' to '.join(map(percent, figures[f'{name}_interval']))})"
        for name in ("war", "uar")
    )
    frequent = figures["most_frequent"]
    recall = ", ".join(f"{label} {percent(share)}" for label, share in figures["recall"].items())
    return (
        f"{figures['clips']}: {figures['count']} ({figures['unusable']} without a face), choosing from "
        f"{len(figures['answers'])} labels: WAR {war}, UAR {uar}, drawn by {figures['drawn']}; chance "
        f"{percent(figures['chance'])}; always {frequent['label']}: WAR {percent(frequent['war'])}, "
        f"UAR {percent(frequent['uar'])}; recall: {recall}"
    )


if __name__ == "__main__":
    main()
