"""A network for predicting whose batch norms are part of the convolutions before them: fewer passes over the maps."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dfer.train.models.interface import ClipNetwork, NetworkInput


@torch.no_grad()
def fused(network: ClipNetwork, given: NetworkInput) -> tuple[ClipNetwork, int]:
    """Copy a network and fuse every batch norm that takes a convolution's output into that convolution.

    given: a batch, to see which batch norm follows which convolution

    Returns the copy, in evaluation mode, and how many batch norms were fused. Whether its scores are still the
    network's, up to rounding, is for the caller to check: the convolution's output could have been used elsewhere.
    """
    network = copy.deepcopy(network).eval()
    pairs = _pairs(network, given)
    for convolution, norm in pairs.items():
        _replace(network, norm, nn.Identity())
        _replace(network, convolution, fuse_conv_bn_eval(convolution, norm))
    return network, len(pairs)


def _pairs(network: ClipNetwork, given: NetworkInput) -> dict[nn.Module, nn.Module]:
    """Each convolution with the batch norm that takes its output, where both run once."""
    made: dict[
        int, tuple[nn.Module, Tensor]
    ] = {}  # by the output's id; kept, so that no other tensor gets the id
    calls: dict[nn.Module, int] = {}
    found: dict[nn.Module, nn.Module] = {}

    def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[module] = calls.get(module, 0) + 1
        if isinstance(module, _ConvNd):
            made[id(output)] = module, output
        elif id(inputs[0]) in made:
            found[made[id(inputs[0])][0]] = module

    hooks = [
        module.register_forward_hook(after)
        for module in network.modules()
        if isinstance(module, _ConvNd) or (isinstance(module, _BatchNorm) and module.track_running_stats)
    ]
    network(given)
    for hook in hooks:
        hook.remove()
    return {conv: norm for conv, norm in found.items() if calls[conv] == calls[norm] == 1}


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put a module in another's place, under every name that it has."""
    for parent in network.modules():
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
