"""What a network is to the rest of `train`: a module from a batch of clips to scores, and some facts about itself.

Loop, checkpoints, evaluation, report, sweeps and benchmark know every network by this file alone. Shapes: B clips,
N frames, K key-points.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import numpy as np
from torch import Tensor, nn

from dfer.train.models.settings import NetworkSettings, Task

NOTHING: Mapping[str, Tensor] = MappingProxyType({})


class NetworkInput(NamedTuple):
    """A batch of clips as a network takes it.

    frames: (B, N, 3, H, W) float, normalised with ImageNet's mean and standard deviation
    keypoints: (B, N, K, 2) normalised to the window
    detected: (B, N) bool, whether the frame's face was found; elsewhere the box of a neighbouring frame is used
    landmarks: (B, N, 68, 2) divided by the stored crop's side; None unless the network takes them
    expressions: (B, N, 52) in 0–1, NaN where no face was found; None unless the network takes them
    mix: share of each clip's own hidden vectors, the rest comes from the previous clip of the batch (`mixes_hidden`)
    """

    frames: Tensor
    keypoints: Tensor
    detected: Tensor
    landmarks: Tensor | None = None
    expressions: Tensor | None = None
    mix: float = 1.0

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that are there, by name."""
        return {name: value for name, value in self._asdict().items() if isinstance(value, Tensor)}


class Scores(NamedTuple):
    """What a network computes for B clips.

    clip: (B, classes) logits, the prediction
    auxiliary: more logits (B, classes) by name, for the loss only: their cross-entropy is taken as that of `clip`
    penalties: losses (B,) by name that do not depend on the truth; only in training
    """

    clip: Tensor
    auxiliary: Mapping[str, Tensor] = NOTHING
    penalties: Mapping[str, Tensor] = NOTHING


class Activations(NamedTuple):
    """What the report shows of B clips.

    features: (B, R) input of the classifier
    attention: (B, blocks, N) attention to the frames, mean over heads, sums to 1 over the frames; None without it
    keypoint_weights: (B, N, K) weights of the key-points; None without them
    """

    features: Tensor
    attention: Tensor | None = None
    keypoint_weights: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a network comes from, for tables and for people who read its code.

    citation: authors, year and place
    parameters: number of parameters that a paper prints for this network, millions, not what follows from other
        figures; None if none does, or if the class has several sizes
    gaps: what the paper, and its authors' public code if there is some, leave open that matters, in a phrase; empty
        if nothing does. Sizes from other people's code are a gap, pre-training that is left out is not
    """

    citation: str
    parameters: float | None = None
    gaps: str = ""


class ClipNetwork(nn.Module):
    """Base of all networks.

    A subclass is built with (settings, task), with weights drawn from torch's random numbers, calls
    `super().__init__(task)`, and scores a batch in `forward`. The class attributes are:

    Config: its settings, a frozen dataclass of `setting` fields
    source: where it comes from
    parts: for `train describe`: name of a module → what it does; empty: its direct children
    heads: starts of the names of weights with one row per class, which `--init-from` matches by the classes' names;
        the first is the classifier
    fitted: starts of the names of what is set from the training clips, which `--init-from` leaves alone
    frame_positions: name of the weights (1, N + …, R) with a row per frame, if there are any
    takes_stills: whether all its weights learn from clips of one frame; else a still is repeated for pre-training
    mixes_hidden: whether `forward` applies `mix` to its hidden vectors; else mixup blends the frames themselves
    """

    Config: ClassVar[type[NetworkSettings]]
    source: ClassVar[Source]
    parts: ClassVar[Mapping[str, str]] = MappingProxyType({})
    heads: ClassVar[tuple[str, ...]] = ("head.",)
    fitted: ClassVar[tuple[str, ...]] = ()
    frame_positions: ClassVar[str] = ""
    takes_stills: ClassVar[bool] = True
    mixes_hidden: ClassVar[bool] = False

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task, self.classes = task, task.classes
        # (classes,) added to the scores when predicting, if the recipe adjusts them; saved with the weights
        self.register_buffer("class_shift", None)

    @classmethod
    def source_of(cls, config: NetworkSettings) -> Source:
        """Where a network with these settings comes from: `source`, unless they add what was not published."""
        return cls.source

    def prepare(self, features: np.ndarray, labels: np.ndarray) -> None:
        """Learn what is fitted before training, if the settings take landmarks; see `data.landmark_features`.

        features: (clips, F) mean features of the training clips
        labels: (clips,) their classes
        """

    def forward(self, given: NetworkInput) -> Scores:
        """Score a batch of clips."""
        raise NotImplementedError

    def frame_vectors(self, given: NetworkInput) -> tuple[Tensor, ...] | None:
        """What is computed of each frame alone, each (B, N, …); None if the network does not work frame by frame.

        Windows of a video that share frames then share these: `scores_of_frames` of them is what `forward` gives.
        """
        return None

    def scores_of_frames(self, vectors: tuple[Tensor, ...], detected: Tensor, mix: float = 1.0) -> Scores:
        """Score clips from the vectors of their frames, if there is `frame_vectors`. Others: as in `NetworkInput`."""
        raise NotImplementedError

    @property
    def loss_weights(self) -> Mapping[str, float]:
        """The weight of each part of the loss: `clip`, and each name in `auxiliary`, `penalties` and `judged`."""
        return {"clip": 1.0}

    def judged(self, scores: Scores, truth: Tensor) -> Mapping[str, Tensor]:
        """Further losses (B,) by name that depend on the truth (B, classes), the share of each class in 0–1."""
        return NOTHING

    def activations(self, given: NetworkInput) -> Activations:
        """Score clips and keep what the report shows of them."""
        features: list[Tensor] = []
        classifier = self.get_submodule(self.heads[0].removesuffix("."))
        with classifier.register_forward_pre_hook(lambda _module, inputs: features.append(inputs[0])):
            self(given)
        (found,) = features
        return Activations(found if found.ndim == 2 else found.flatten(1, -2).mean(1))

    def keypoint_maps(self, given: NetworkInput) -> Tensor | None:
        """The maps (B, N, K, h, w), 0–1, by which the network looks at key-points; None if it does not."""
        return None
