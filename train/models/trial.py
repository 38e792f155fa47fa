"""Try a network of a user's own on two made-up clips, so that its mistakes are found before any training."""

import copy

import torch
from torch import Tensor

from dfer.schemas.blendshapes import BLENDSHAPES
from dfer.schemas.keypoints import LANDMARKS
from dfer.train.models.interface import ClipNetwork, NetworkInput, Scores

CLIPS = 2


def try_out(network: ClipNetwork) -> str | None:
    """Score two clips in training and in evaluation. Returns what is wrong in a phrase, None if nothing is."""
    trial = copy.deepcopy(network)  # batch norm learns from what it sees
    given = _made_up(network)
    for training in (True, False):
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                scores = trial.train(training)(given)
        except Exception as error:  # other people's code
            return f"it cannot score clips: {type(error).__name__}: {error}"
        problem = _problem(trial, scores)
        if problem:
            return problem
    return None


def _problem(network: ClipNetwork, scores: object) -> str | None:
    if not isinstance(scores, Scores):
        return f"its `forward` returns a {type(scores).__name__}, not Scores"
    classes = (CLIPS, network.classes)
    expected = {"clip": (scores.clip, classes)}
    expected |= {name: (values, classes) for name, values in scores.auxiliary.items()}
    expected |= {name: (values, (CLIPS,)) for name, values in scores.penalties.items()}
    for name, (values, shape) in expected.items():
        if not isinstance(values, Tensor) or tuple(values.shape) != shape or not values.is_floating_point():
            found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
            return f"its scores {name!r} are {found}, must be floating-point numbers of shape {shape}"
        if name not in network.loss_weights:
            return f"its `loss_weights` has no {name!r}"
    return None


def _made_up(network: ClipNetwork) -> NetworkInput:
    task = network.task
    shape, side = (CLIPS, task.num_frames), task.image_size
    return NetworkInput(
        frames=torch.linspace(-2, 2, CLIPS * task.num_frames * 3 * side**2).view(*shape, 3, side, side),
        keypoints=torch.full((*shape, task.keypoints.count, 2), 0.5),
        detected=torch.ones(shape, dtype=torch.bool),
        landmarks=torch.full((*shape, LANDMARKS, 2), 0.5),
        expressions=torch.full((*shape, len(BLENDSHAPES)), 0.5),
    )
