"""Sections of the report on what the network looks at: clip features, attention, W_a, and single clips."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dfer.schemas.html import page
from dfer.schemas.html.markup import Html, join, tag
from dfer.schemas.html.overlay import legend
from dfer.schemas.keypoints import KeypointSet
from dfer.schemas.support.text import counted
from dfer.train.data.class_matching import label_ids
from dfer.train.data.loader import Loader
from dfer.train.engine.checkpoint import Checkpoint
from dfer.train.models.interface import ClipNetwork
from dfer.train.report.activations import InputClip, RecordedActivations, input_clips
from dfer.train.report.clip_cards import cards, choose_clips, clip_card
from dfer.train.results import plots

PERPLEXITY = 30  # of t-SNE, the usual value (van der Maaten and Hinton 2008: 5 to 50)


@dataclass(frozen=True, kw_only=True)
class SampledClips:
    """The network on a random sample of the usable test clips.

    network: on the device it runs on
    checkpoint: the one it was restored from
    loader: of all usable test clips
    keypoint_set: of the caches
    predictions: the sampled rows of the prediction table, with each clip's `number` in the loader's dataset
    activations: of the same clips, in the same order
    """

    network: ClipNetwork
    checkpoint: Checkpoint
    loader: Loader
    keypoint_set: KeypointSet
    predictions: pl.DataFrame
    activations: RecordedActivations

    @property
    def truth(self) -> np.ndarray:
        """(n,) the true class of each clip, as an index of the network's labels."""
        return np.array(label_ids(self.predictions, self.checkpoint.labels))

    @property
    def description(self) -> str:
        """How many clips these are, for a sentence."""
        shown, usable = len(self.predictions), len(self.loader.dataset)
        if shown == usable:
            return f"the {counted(usable, 'usable test clip')}"
        return f"{shown} of {usable} usable test clips, drawn with a fixed seed"


def features_section(sample: SampledClips) -> Html:
    """The classifier's input as points of a plane, by t-SNE."""
    features = sample.activations.features
    if len(features) < 4:
        return tag("p", f"Left out: {counted(len(features), 'clip')} are too few for t-SNE.")
    if not np.isfinite(features).all():
        return tag("p", "Left out: the network's features contain NaN or infinity.")
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    rows, labels = sample.predictions, sample.checkpoint.labels
    correct = (rows["label"] == rows["predicted"]).to_numpy()
    chart = plots.clip_map_png(tsne(features, perplexity), sample.truth, correct, labels)
    return join(
        tag(
            "p",
            f"t-SNE (perplexity {perplexity:.0f}) of the classifier's {features.shape[1]} input features, for "
            f"{sample.description}. Nearby clips look similar to the network; distances between groups and the "
            "sizes of groups have no meaning.",
        ),
        tag("figure", page.picture(chart, "t-SNE of the clip features, coloured by true class")),
    )


def tsne(features: np.ndarray, perplexity: float) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton 2008) of features (n, R) → (n, 2), deterministic."""
    from sklearn.manifold import TSNE

    return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(features)


def attention_section(sample: SampledClips) -> Html:
    """Which frames the class token attends to."""
    attention = sample.activations.attention
    if attention is None:
        return tag("p", "This network does not say how much it attends to each frame.")
    return join(
        tag(
            "p",
            f"Attention of the class token to each frame, mean over heads and over {sample.description}. Its "
            "attention to itself is left out.",
        ),
        tag(
            "figure",
            page.picture(plots.attention_png(attention.mean(0)), "attention over the frames, by block"),
        ),
    )


def weights_section(sample: SampledClips) -> Html:
    """W_a of each key-point, by class."""
    weights = sample.activations.keypoint_weights
    if weights is None:
        return tag("p", "This network gives key-points no weights.")
    labels, truth = sample.checkpoint.labels, sample.truth
    per_clip = weights.mean(1)  # (n, K)
    by_class = np.stack(
        [
            per_clip[truth == k].mean(0) if (truth == k).any() else np.full(per_clip.shape[1], np.nan)
            for k in range(len(labels))
        ]
    )
    chart = plots.keypoint_weights_png(by_class, labels, sample.keypoint_set.labels)
    return join(
        tag(
            "p",
            "W_a (Eq. 3) scales what each key-point receives from its neighbours in the graph; 0 means nothing. Mean "
            f"over the frames of {sample.description}, by true class. Left and right are those of the image.",
        ),
        tag("figure", page.picture(chart, "mean W_a of each key-point, by class")),
    )


def clips_section(sample: SampledClips, count: int) -> Html:
    """Single clips as the network receives them, up to `count` of each kind."""
    if not count:
        return tag("p", "Left out: this report was made with --clips 0.")
    chosen = choose_clips(sample.predictions.with_row_index("position"), count)
    shown = {
        title: [
            _card(clip, images, sample)
            for clip, images in zip(group.iter_rows(named=True), _input_clips(group, sample), strict=True)
        ]
        for title, group in chosen.items()
    }
    return join(
        tag(
            "p",
            "The clips with the highest predicted probability. Left: the Gaussian maps of the key-points, coloured "
            "by region, and the key-points with areas proportional to W_a in that frame. Right: all frames, with a "
            "bar for each frame's share of the last block's attention.",
        ),
        legend(sample.keypoint_set),
        cards(shown),
        tag("p", "These are people's faces: share this page only if the dataset's licence allows it."),
    )


def _input_clips(clips: pl.DataFrame, sample: SampledClips) -> list[InputClip]:
    return input_clips(sample.loader, clips["number"].to_list(), sample.network, sample.checkpoint.config)


def _card(clip: dict[str, Any], shown: InputClip, sample: SampledClips) -> Html:
    activations, position = sample.activations, clip["position"]
    attention, weights = activations.attention, activations.keypoint_weights
    return clip_card(
        clip,
        shown,
        sample.keypoint_set,
        None if attention is None else attention[position, -1],
        None if weights is None else weights[position],
    )
