import torch

from dfer.train.models.frames.resnet import Bottleneck, ResNet50, plain_resnet18


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
    """He et al. 2016, Table 1: 112, 56, 28, 14 and 7 px from 224 px."""
    with torch.device("meta"):
        network = ResNet50()
        x = network.conv1(torch.empty(1, 3, 224, 224))
        assert x.shape == (1, 64, 112, 112)
        x = network.maxpool(x)
        for name, channels, side in (
            ("layer1", 256, 56),
            ("layer2", 512, 28),
            ("layer3", 1024, 14),
            ("layer4", 2048, 7),
        ):
            x = getattr(network, name)(x)
            assert x.shape == (1, channels, side, side)


def test_plain_resnet18_has_strides_of_two():
    with torch.device("meta"):
        assert plain_resnet18()(torch.empty(1, 3, 224, 224)).shape == (1, 512, 7, 7)


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
