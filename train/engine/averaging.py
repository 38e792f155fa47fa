"""An exponential moving average of the weights (Tarvainen and Valpola 2017)."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged_copy(network: nn.Module, decay: float) -> AveragedModel:
    """Copy a network. Each `update_parameters` averages its weights and batch-norm statistics into the copy.

    Update t keeps min(decay, (1 + t) / (10 + t)) of the average, so the initial weights fade quickly.
    """

    @torch.no_grad()
    def update(averages: list[Tensor], weights: list[Tensor], updates: Tensor) -> None:
        kept = min(decay, (1 + int(updates)) / (10 + int(updates)))
        for average, weight in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(weight, 1 - kept)
            else:  # batch norm's count of batches
                average.copy_(weight)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)
