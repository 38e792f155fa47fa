import networks
import pytest
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.models.frames.densenet import DenseLayer, DenseNetAverage, smallest_image

SMALL = {"growth_rate": 4, "block_layers": (1, 2, 2)}


def test_parameters_are_those_of_densenet_161():
    """torchvision's densenet161 has 28 681 000 with 1000 classes; Huang et al. 2024 print 27 M."""
    network = networks.on_meta(DenseNetAverage, networks.task(4, 224, 1000))
    assert networks.count(network) == 28_681_000
    network = networks.on_meta(DenseNetAverage, networks.task(4, 224))
    assert networks.count(network) == pytest.approx(27e6, rel=0.03)


def test_blocks_have_the_sizes_of_table_1():
    """Huang G. et al. 2017, Table 1: 56, 28, 14 and 7 px from 224 px; channels by the growth rate of 48."""
    network = networks.on_meta(DenseNetAverage, networks.task(4, 224)).backbone
    x = network.stem(torch.empty(1, 3, 224, 224, device="meta"))
    assert x.shape == (1, 96, 56, 56)
    for number, (channels, side) in enumerate([(384, 56), (768, 28), (2112, 14), (2208, 7)]):
        x = network.blocks[number](network.transitions[number - 1](x) if number else x)
        assert x.shape == (1, channels, side, side)


def test_a_layer_keeps_its_input_and_adds_channels():
    layer, x = DenseLayer(6, growth_rate=4).eval(), torch.randn(2, 6, 5, 5)
    torch.testing.assert_close(layer(x)[:, :6], x)
    assert layer(x).shape == (2, 10, 5, 5)


def test_every_parameter_learns_and_the_order_of_the_frames_does_not_matter():
    network = networks.seeded(DenseNetAverage, networks.task(4, 32), **SMALL)
    assert networks.order_matters(network, networks.clips(networks.task(4, 32))) == (False, False)
    assert networks.without_gradient(network, networks.clips(networks.task(4, 32))) == []


def test_the_smallest_image_still_has_a_map_and_a_smaller_one_is_refused():
    assert smallest_image(4) == 29
    network = networks.on_meta(DenseNetAverage, networks.task(4, 29))
    assert network(networks.clips(networks.task(4, 29), device="meta")).clip.shape == (2, 7)
    with pytest.raises(UserError, match="--image-size 28: DenseNet with 4 blocks needs at least 29"):
        networks.on_meta(DenseNetAverage, networks.task(4, 28))
