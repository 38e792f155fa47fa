"""Try a network of a user's own on two made-up clips, so that its mistakes are found before any training."""

import copy

import torch
from torch import Tensor

from dfer.train.models.interface import ClipNetwork, Scores
from dfer.train.models.made_up import made_up_input
from dfer.train.models.settings import NetworkSettings

CLIPS = 2


def try_out(network: ClipNetwork, settings: NetworkSettings) -> str | None:
    """Score two clips in training and in evaluation. Returns what is wrong in a phrase, None if nothing is."""
    trial = copy.deepcopy(network)  # batch norm learns from what it sees
    given = made_up_input(network, settings, CLIPS, network.task.num_frames)
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
