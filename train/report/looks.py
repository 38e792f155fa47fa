"""The sections of a run's page that show what the network looks at: features, attention, W_a, single clips."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.html import page
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.html.overlay import legend
from dfer.schemas.keypoints import DLIB18
from dfer.schemas.support.text import counted
from dfer.train.data.class_matching import label_ids
from dfer.train.data.loader import Loader
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.models.keypoint.network import DferNetwork
from dfer.train.report.cards import cards, choose_clips, clip_card
from dfer.train.report.insight import Insight, Seen, clips_as_seen
from dfer.train.results import plots

PERPLEXITY = 30  # of t-SNE, the usual value (van der Maaten and Hinton 2008: 5 to 50)


@dataclass(frozen=True, kw_only=True)
class Looked:
    """The network on some of the usable test clips, drawn at random. predictions: their rows of the prediction
    table, each with its `number` in the loader's dataset, which holds all usable test clips; insight: of the same."""

    network: DferNetwork
    kept: Checkpoint
    loader: Loader
    predictions: pl.DataFrame
    insight: Insight


def features_section(looked: Looked) -> Html:
    """The clips on a plane."""
    features = looked.insight.features
    if len(features) < 4:
        return tag("p", f"Left out: t-SNE needs more than {counted(len(features), 'clip')}.")
    if not np.isfinite(features).all():
        return tag("p", "Left out: the network's features are not all numbers.")
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    rows, labels = looked.predictions, looked.kept.labels
    truth = np.array(label_ids(rows, labels))
    right = (rows["label"] == rows["predicted"]).to_numpy()
    chart = plots.clip_map_png(neighbours(features, perplexity), truth, right, labels)
    return join(
        tag(
            "p",
            f"The {features.shape[1]} numbers that the classifier is given for each of {_drawn(looked)}, brought to "
            f"a plane by t-SNE (perplexity {perplexity:.0f}). Near clips are alike to the network; distances between "
            "groups, and their sizes, say nothing.",
        ),
        tag("figure", page.picture(chart, "t-SNE of the clip features, coloured by true class")),
    )


def neighbours(features: np.ndarray, perplexity: float) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton 2008) of features (n, R) → (n, 2), the same for the same features."""
    from sklearn.manifold import TSNE

    return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(features)


def attention_section(looked: Looked) -> Html:
    """Which frames the class token attends to."""
    attention = looked.insight.attention
    if attention is None:
        return tag("p", "This network has no temporal transformer.")
    return join(
        tag(
            "p",
            "How the class token's attention is spread over the frames that the network sees: mean over heads and "
            f"over {_drawn(looked)}. What the token gives to itself is left out.",
        ),
        tag(
            "figure",
            page.picture(plots.attention_png(attention.mean(0)), "attention over the frames, by block"),
        ),
    )


def weights_section(looked: Looked) -> Html:
    """How much each key-point hears of its neighbours."""
    weights = looked.insight.weights
    if weights is None:
        return tag("p", "This network's key-point graph passes no messages.")
    labels = looked.kept.labels
    truth = np.array(label_ids(looked.predictions, labels))
    per_clip = weights.mean(1)  # (n, K)
    by_class = np.stack(
        [
            per_clip[truth == k].mean(0) if (truth == k).any() else np.full(DLIB18.count, np.nan)
            for k in range(len(labels))
        ]
    )
    chart = plots.keypoint_weights_png(by_class, labels, DLIB18.labels)
    return join(
        tag(
            "p",
            "W_a scales what each key-point receives from its neighbours in the graph (Eq. 3); 0: nothing. Mean over "
            f"the frames of {_drawn(looked)}, by true class; left and right are the image's.",
        ),
        tag("figure", page.picture(chart, "mean W_a of each key-point, by class")),
    )


def clips_section(looked: Looked, count: int) -> Html:
    """Single clips as the network sees them, `count` of each kind."""
    if not count:
        return tag("p", "Left out: the report was asked for no clips.")
    chosen = choose_clips(looked.predictions.with_row_index("place"), count)
    shown = {
        title: [
            _card(clip, seen, looked.insight)
            for clip, seen in zip(group.iter_rows(named=True), _as_seen(group, looked), strict=True)
        ]
        for title, group in chosen.items()
    }
    return join(
        tag(
            "p",
            "The clips that the network is surest of, as it sees them. Left: where the Gaussian maps of the "
            "key-points lie, each region in its colour, and the key-points with areas that follow W_a in that "
            "frame. Right: all frames, each over a bar for its share of the last block's attention.",
        ),
        legend(DLIB18),
        cards(shown),
        tag("p", "These are people's faces: pass this page on only as the dataset's licence allows."),
    )


def _as_seen(clips: pl.DataFrame, looked: Looked) -> list[Seen]:
    return clips_as_seen(looked.loader, clips["number"].to_list(), looked.network, looked.kept.config)


def _card(clip: dict[str, Any], seen: Seen, insight: Insight) -> Html:
    attention, weights, place = insight.attention, insight.weights, clip["place"]
    return clip_card(
        clip,
        seen,
        None if attention is None else attention[place, -1],
        None if weights is None else weights[place],
    )


def _drawn(looked: Looked) -> str:
    shown, there = len(looked.predictions), len(looked.loader.dataset)
    if shown == there:
        return f"the {counted(there, 'usable test clip')}"
    return f"{shown} of {there} usable test clips, drawn with a fixed seed"
