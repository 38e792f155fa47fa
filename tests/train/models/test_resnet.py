import pytest
import torch

from dfer.train.models.resnet import Bottleneck, ResNet18, ResNet50


def torchvision_names():
    """The keys of torchvision's resnet18 state dict without fc, from its naming scheme."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = ["conv1.weight", *(f"bn1.{n}" for n in norm)]
    for stage in range(1, 5):
        for block in range(2):
            base = f"layer{stage}.{block}"
            for number in (1, 2):
                names += [f"{base}.conv{number}.weight", *(f"{base}.bn{number}.{n}" for n in norm)]
            if stage > 1 and block == 0:
                names += [f"{base}.downsample.0.weight", *(f"{base}.downsample.1.{n}" for n in norm)]
    return names


def test_resnet18_has_torchvisions_names_and_parameters():
    assert sorted(ResNet18().state_dict()) == sorted(torchvision_names())
    shapes = {name: tuple(value.shape) for name, value in ResNet18().state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer3.0.downsample.0.weight"] == (256, 128, 1, 1)
    # torchvision's resnet18 has 11 689 512 parameters, of which 513 000 are in fc.
    assert sum(p.numel() for p in ResNet18().parameters()) == 11_689_512 - 513_000


@pytest.mark.parametrize(("strides", "side"), [((1, 2, 1, 1), 14), ((1, 2, 1, 2), 7), ((1, 2, 2, 2), 4)])
def test_stage_strides_set_the_size_of_the_map(strides, side):
    with torch.device("meta"):
        network, images = ResNet18(strides), torch.empty(2, 3, 112, 112)
        assert network(images).shape == network.maps(images)[-1].shape == (2, 512, side, side)


def test_stage_widths_set_the_channels_of_each_map():
    with torch.device("meta"):
        network, images = ResNet18((1, 2, 2, 1), (32, 64, 96, 48)), torch.empty(1, 3, 64, 64)
        shapes = [tuple(x.shape[1:]) for x in network.maps(images)]
    assert shapes == [(32, 16, 16), (64, 8, 8), (96, 4, 4), (48, 4, 4)]
    assert network.outputs == 48 and network.conv1.out_channels == 32


def test_a_basic_block_is_two_convolutions_and_a_shortcut():
    torch.manual_seed(0)
    block = ResNet18().layer2[0].eval()
    for norm in (block.bn1, block.bn2, block.downsample[1]):
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)

    def normed(x, norm):
        mean, var = norm.running_mean[:, None, None], norm.running_var[:, None, None]
        return (x - mean) / torch.sqrt(var + norm.eps)

    x = torch.randn(2, 64, 12, 12)
    f = torch.nn.functional
    inner = torch.relu(normed(f.conv2d(x, block.conv1.weight, stride=2, padding=1), block.bn1))
    outer = normed(f.conv2d(inner, block.conv2.weight, padding=1), block.bn2)
    shortcut = normed(f.conv2d(x, block.downsample[0].weight, stride=2), block.downsample[1])
    torch.testing.assert_close(block(x), torch.relu(outer + shortcut), rtol=1e-4, atol=1e-5)


def test_resnet50_has_torchvisions_names_and_parameters():
    with torch.device("meta"):
        network = ResNet50()
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    # torchvision's resnet50 has 25 557 032 parameters, of which 2 049 000 are in fc.
    assert sum(p.numel() for p in network.parameters()) == 25_557_032 - 2_049_000
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer2.0.conv2.weight"] == (128, 128, 3, 3)
    assert shapes["layer4.2.conv3.weight"] == (2048, 512, 1, 1)
    assert "layer3.6.bn3.weight" not in shapes and "layer3.5.bn3.weight" in shapes


def test_stages_have_the_sizes_of_table_1():
    """He et al. 2016, Table 1: 56, 28, 14 and 7 px from 224 px."""
    with torch.device("meta"):
        images = torch.empty(1, 3, 224, 224)
        found = {kind: [tuple(x.shape[1:]) for x in kind().maps(images)] for kind in (ResNet18, ResNet50)}
    sizes = [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]
    assert found == {ResNet18: sizes, ResNet50: [(4 * c, h, w) for c, h, w in sizes]}


def test_a_bottleneck_is_three_convolutions_and_a_shortcut():
    torch.manual_seed(0)
    block = Bottleneck(8, 4, stride=2).eval()
    x = torch.randn(2, 8, 6, 6)
    f = torch.nn.functional
    y = torch.relu(block.bn1(f.conv2d(x, block.conv1.weight)))
    y = torch.relu(block.bn2(f.conv2d(y, block.conv2.weight, stride=2, padding=1)))
    y = block.bn3(f.conv2d(y, block.conv3.weight))
    shortcut = block.downsample[1](f.conv2d(x, block.downsample[0].weight, stride=2))
    torch.testing.assert_close(block(x), torch.relu(y + shortcut))
