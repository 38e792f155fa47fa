import pytest
import torch
from networks import clips, task
from torch import nn

from dfer.train.models.transformers.estlnet import Estlnet, EstlnetConfig, MaskedConvolution, MultiLevel

SMALL = EstlnetConfig(channels=8, depth=2, heads=2, head_dim=8, gru_width=16)


def small(frames=4):
    torch.manual_seed(0)
    return Estlnet(SMALL, task(frames, 32))


def test_it_has_21_3_million_parameters_none_are_printed():
    """ResNet-18 has 11.2 of them, the spatial fusion's convolutions 1.4, each of three temporal blocks 2.9."""
    with torch.device("meta"):
        network = Estlnet(EstlnetConfig(), task())
    assert abs(sum(p.numel() for p in network.parameters()) / 1e6 - 21.27) < 0.01
    assert network.source.parameters is None and network.source.gaps


def test_frames_become_vectors_and_the_clip_one_vector():
    with torch.device("meta"):
        network = Estlnet(EstlnetConfig(), task())
        assert network.spatial(torch.empty(2, 3, 112, 112)).shape == (2, 512)
        assert network.temporal(torch.empty(2, 16, 512)).shape == (2, 512)
        assert network(clips(task(16, 112), 2)).clip.shape == (2, 7)


@pytest.mark.parametrize("frames", [1, 5])
def test_any_number_of_frames_is_scored(frames):
    assert small(frames).eval()(clips(task(frames, 48), 2)).clip.shape == (2, 7)


def test_every_parameter_learns():
    network = small()
    nn.functional.cross_entropy(network(clips(task(4, 32), 2)).clip, torch.tensor([0, 3])).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_the_order_of_the_frames_matters_through_the_gru_alone():
    network, given = small().eval(), clips(task(4, 32), 2)
    nn.init.zeros_(network.temporal.positions)  # attention without positions sees a set of frames
    backwards = given._replace(frames=given.frames.flip(1))
    assert not torch.allclose(network(given).clip, network(backwards).clip, rtol=1e-3)
    for block in network.temporal.blocks:
        nn.init.zeros_(block.mlp.out.weight)
    torch.testing.assert_close(network(given).clip, network(backwards).clip, rtol=1e-4, atol=1e-5)


def test_a_hidden_place_does_not_change_the_masked_convolution():
    torch.manual_seed(0)
    convolution = MaskedConvolution(2, 4).eval()
    nn.init.constant_(convolution.mask.weight, 0)
    convolution.mask.weight.data[0, 1] = 1  # the second channel shows and hides
    nn.init.zeros_(convolution.mask.bias)
    x = torch.randn(1, 2, 5, 5)
    x[:, 1] = 100
    x[:, 1, 2, 2] = -100  # hidden
    other = x.clone()
    other[:, 0, 2, 2] = 7
    torch.testing.assert_close(convolution(x), convolution(other))
    other[:, 0, 1, 1] = 7
    assert not torch.allclose(convolution(x), convolution(other))


def test_a_masked_convolution_keeps_the_scale_of_what_is_seen():
    convolution = MaskedConvolution(2, 1).eval()
    nn.init.constant_(convolution.conv.weight, 1 / 18)  # the mean of a full window
    nn.init.zeros_(convolution.mask.weight)
    x = torch.ones(1, 2, 5, 5)
    seen = []
    for bias in (100.0, 0.0):  # everything shown, everything half shown
        nn.init.constant_(convolution.mask.bias, bias)
        seen.append(convolution(x)[..., 1:-1, 1:-1])
    torch.testing.assert_close(seen[0], seen[1])


def test_every_level_reaches_the_sum():
    torch.manual_seed(0)
    levels = MultiLevel((2, 3, 4), 5).eval()
    maps = [torch.randn(1, 2, 8, 8), torch.randn(1, 3, 4, 4), torch.randn(1, 4, 2, 2)]
    together = levels(maps)
    assert together.shape == (1, 5, 2, 2)
    for k in range(3):
        without = [x if j != k else torch.zeros_like(x) for j, x in enumerate(maps)]
        assert not torch.allclose(levels(without), together)
