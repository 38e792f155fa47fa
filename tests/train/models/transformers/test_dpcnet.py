import pytest
import torch
from networks import clips, task
from torch.utils.flop_counter import FlopCounterMode

from dfer.train.models.transformers.dpcnet import (
    Dpcnet,
    DpcnetConfig,
    SpatialFrameExcitation,
    frames_apart,
    paths_apart,
    views,
)

SMALL = DpcnetConfig(width=8, embedding=16)


def small(frames=8):
    torch.manual_seed(0)
    return Dpcnet(SMALL, task(frames, 32))


def opened(network):
    """The last norm of each residual block starts at zero and lets no gradient into the block."""
    for name, weight in network.named_parameters():
        if name.endswith("bn3.weight"):
            torch.nn.init.ones_(weight)
    return network


def test_residual_blocks_start_as_shortcuts():
    trunk, x = small().eval().first.trunk, torch.randn(2, 32, 4, 4)
    torch.testing.assert_close(trunk.layer1[1](x.relu()), x.relu())
    assert not torch.allclose(opened(trunk).layer1[1](x.relu()), x.relu())


def test_it_has_the_printed_51_million_parameters_within_3_percent():
    with torch.device("meta"):
        network = Dpcnet(DpcnetConfig(), task(8))
    parameters = sum(p.numel() for p in network.parameters()) / 1e6
    assert abs(parameters / network.source.parameters - 1) <= 0.03
    assert abs(parameters - 50.27) < 0.01


def test_each_trunk_is_a_resnet_50():
    with torch.device("meta"):
        trunk = Dpcnet(DpcnetConfig(), task(8)).first.trunk
        assert trunk(torch.empty(2, 3, 112, 112)).shape == (2, 2048, 4, 4)
        assert trunk(torch.empty(2, 3, 224, 224)).shape == (2, 2048, 7, 7)
    # torchvision's resnet50 has 25 557 032 parameters, of which 2 049 000 are in fc.
    assert sum(p.numel() for p in trunk.parameters()) == 25_557_032 - 2_049_000


def test_eight_frames_of_112_px_take_8_6_giga_multiply_adds():
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        Dpcnet(DpcnetConfig(), task(8)).eval()(clips(task(8, 112), 1))
    assert abs(counter.get_total_flops() / 2e9 - 8.6) < 0.1


def test_a_path_has_a_vector_for_each_frame_and_an_embedding_for_its_view():
    with torch.device("meta"):
        vectors, embedding = Dpcnet(DpcnetConfig(), task(8)).first(torch.empty(2, 4, 3, 112, 112))
    assert vectors.shape == (2, 4, 2048) and embedding.shape == (2, 512)


def test_the_spatial_frame_gate_is_a_3d_convolution_of_the_channels_mean():
    torch.manual_seed(0)
    excitation, maps = SpatialFrameExcitation(), torch.randn(2, 4, 6, 3, 5)
    weight, mean = excitation.conv.weight.view(1, 1, 3, 3, 3), maps.mean(2)[:, None]
    gate = torch.nn.functional.conv3d(mean, weight, excitation.conv.bias, padding=1).sigmoid()[:, 0, :, None]
    torch.testing.assert_close(excitation(maps), maps * (1 + gate))


@pytest.mark.parametrize("frames", [1, 5, 8])
def test_both_views_cover_the_clip(frames):
    even, odd = views(torch.arange(frames)[None])
    assert {*even[0].tolist(), *odd[0].tolist()} == {*range(frames)}
    assert frames == 1 or even.shape[1] + odd.shape[1] == frames


@pytest.mark.parametrize("frames", [1, 5])
def test_any_number_of_frames_is_scored(frames):
    network, given = small(frames), clips(task(frames, 32), 2)
    scores = network(given)
    assert scores.clip.shape == (2, 7)
    assert scores.penalties["frames"].shape == scores.penalties["paths"].shape == (2,)
    assert not network.eval()(given).penalties  # they cost nothing when predicting


def test_every_part_of_the_loss_has_a_weight_and_together_they_train_every_parameter():
    network, given = opened(small()), clips(task(8, 32), 2)
    scores = network(given)
    parts = {"clip": scores.clip, **scores.auxiliary, **scores.penalties}
    assert network.loss_weights.keys() == parts.keys()
    truth = torch.tensor([0, 3])
    losses = {
        name: part if part.ndim == 1 else torch.nn.functional.cross_entropy(part, truth, reduction="none")
        for name, part in parts.items()
    }
    torch.stack([network.loss_weights[name] * loss for name, loss in losses.items()]).sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_the_order_of_the_frames_matters():
    network, given = small().eval(), clips(task(8, 32), 2)
    backwards = given._replace(frames=given.frames[:, [6, 7, 4, 5, 2, 3, 0, 1]])  # each view backwards
    assert not torch.allclose(network(given).clip, network(backwards).clip, rtol=1e-3)


def test_the_prediction_is_the_mean_of_both_paths():
    scores = small().eval()(clips(task(8, 32), 2))
    both = torch.stack([scores.auxiliary["first"], scores.auxiliary["second"]])
    torch.testing.assert_close(scores.clip, both.mean(0))


def test_the_penalties_are_zero_where_both_paths_agree_and_grow_with_their_difference():
    frames = torch.randn(3, 1, 16).expand(3, 4, 16)
    torch.testing.assert_close(frames_apart(frames, 2 * frames), torch.zeros(3))
    torch.testing.assert_close(frames_apart(frames, -frames), torch.full((3,), 2.0))
    logits = torch.randn(3, 7)
    torch.testing.assert_close(paths_apart(logits, logits + 1), torch.zeros(3))
    near, far = paths_apart(logits, 1.1 * logits), paths_apart(logits, 2 * logits)
    assert (near > 0).all() and (near < far).all()
    p, q = logits.softmax(1), (2 * logits).softmax(1)
    expected = ((p * (p / q).log()).sum(1) + (q * (q / p).log()).sum(1)) / 2
    torch.testing.assert_close(far, expected)
