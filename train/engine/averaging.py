"""The moving average of the weights, which predicts better than the last ones (Tarvainen and Valpola 2017)."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged_copy(network: nn.Module, decay: float) -> AveragedModel:
    """A copy whose weights and batch-norm statistics follow the network's at every `update_parameters`.

    After t updates the older weights keep min(decay, (1 + t) / (10 + t)): the start is forgotten soon.
    """

    @torch.no_grad()
    def follow(averages: list[Tensor], weights: list[Tensor], updates: Tensor) -> None:
        kept = min(decay, (1 + int(updates)) / (10 + int(updates)))
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight, 1 - kept)
            else:  # how many batches were seen
                average.copy_(weight)

    return AveragedModel(network, multi_avg_fn=follow, use_buffers=True)
