import networks
import pytest
import torch

from dfer.train.models.volumes.resnet3d import BasicBlock, ResNet3D18

TINY = {"width": 4}


def test_the_3d_resnet_18_has_the_33_million_parameters_of_the_tables():
    network = networks.on_meta(ResNet3D18, networks.task(16, 112))
    assert networks.millions(network) == pytest.approx(ResNet3D18.source.parameters, rel=0.03)
    assert ResNet3D18.source.parameters == 33.0


def test_maps_have_the_sizes_of_the_papers_table():
    task = networks.task(16, 112)
    with torch.device("meta"):
        maps = networks.on_meta(ResNet3D18, task).maps(networks.clips(task, 1).frames)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (64, 8, 28, 28),
        (64, 8, 28, 28),
        (128, 4, 14, 14),
        (256, 2, 7, 7),
        (512, 1, 4, 4),
    ]


def test_a_shortcut_has_no_weights_and_new_channels_start_at_zero():
    torch.manual_seed(0)
    block = BasicBlock(2, 4, 2).eval()
    assert {name.split(".")[0] for name, _ in block.named_parameters()} == {"conv1", "conv2"}
    torch.nn.init.zeros_(block.conv2[0].weight)
    x = torch.randn(1, 2, 4, 4, 4)
    out = block(x)
    torch.testing.assert_close(out[:, :2], x[:, :, ::2, ::2, ::2].relu())
    assert not out[:, 2:].any()


@pytest.mark.parametrize(("frames", "size"), [(1, 16), (5, 40), (33, 97)])
def test_a_clip_of_any_length_and_size_is_scored(frames, size):
    task = networks.task(frames, size)
    with torch.device("meta"):
        assert networks.on_meta(ResNet3D18, task)(networks.clips(task)).clip.shape == (2, 7)


def test_a_step_reaches_every_parameter():
    assert not networks.without_gradient(*networks.with_clips(ResNet3D18, networks.task(4, 48), **TINY))


def test_the_order_of_frames_matters():
    network, given = networks.with_clips(ResNet3D18, networks.task(8, 32), **TINY)
    scores, backwards = network.eval()(given).clip, network(networks.reversed_in_time(given)).clip
    assert not torch.allclose(scores, backwards, rtol=1e-2)


def test_the_listed_parts_add_up():
    assert networks.described(ResNet3D18, networks.task(16, 112)).shapes["stages.3"] == (512, 1, 4, 4)
