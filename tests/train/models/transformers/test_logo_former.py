import networks
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dfer.train.models.transformers.logo_former import Cutting, LogoFormer, LogoFormerConfig

SMALL = {"width": 16, "depth": 1, "heads": 2, "mlp_width": 32, "dropout": 0.0}


@pytest.fixture(scope="module")
def published():
    return networks.on_meta(LogoFormer, networks.task())


@pytest.fixture(scope="module")
def small_task():
    return networks.task(4, 48, 3)


def small(task, **settings):
    return networks.seeded(LogoFormer, task, **SMALL, **settings).eval()


def reached(module, grid=(4, 3, 3)):
    """Which tokens the first one's output depends on, (N, h, w)."""
    x = torch.randn(1, *grid, 16, requires_grad=True)
    module(x)[0, 0, 0, 0].square().sum().backward()
    return x.grad[0].abs().amax(3) > 0


def test_the_cost_is_near_the_published_one(published):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        published.eval()(networks.clips(networks.task(), 1))
    assert counter.get_total_flops() / 2 == pytest.approx(10.27e9, rel=0.03)


def test_the_count_is_that_of_the_described_parts(published):
    """No count is printed. ResNet-18 to stage 3, projection, positions, 4 blocks of width 256, norm, head."""
    attention, hidden = 4 * 256**2 + 256, 2 * 256 * 1024 + 1024 + 256
    summary = (2 + 1 + 2) * 256
    block = 3 * 2 * 256 + 2 * attention + summary + hidden
    around = 2_782_784 + (256 + 1) * 256 + (49 + 16) * 256 + 2 * 256 + 7 * 257
    assert networks.count(published) == around + 4 * block == 7_080_263


def test_stages_have_the_described_shapes(published):
    assert networks.shapes(published, networks.task(), "tokens.backbone.layer3", "tokens", "blocks") == {
        "tokens.backbone.layer3": (32, 256, 7, 7),
        "tokens": (2, 16, 49, 256),
        "blocks": (2, 16, 7, 7, 256),
    }


@pytest.mark.parametrize(("num_frames", "image_size"), [(1, 16), (11, 100), (16, 160)])
def test_it_takes_any_number_of_frames_and_size(num_frames, image_size):
    task = networks.task(num_frames, image_size)
    found = networks.scores(networks.on_meta(LogoFormer, task), networks.clips(task, device="meta"))
    assert found.shape == (2, task.classes)


@pytest.mark.parametrize("grid", [(4, 6, 6), (5, 7, 4), (1, 2, 3)])
def test_windows_join_to_what_was_cut(grid):
    x = torch.randn(2, *grid, 3)
    cutting = Cutting(grid, (2, 3, 3))
    torch.testing.assert_close(cutting.join(cutting.cut(x)), x)


def test_a_window_has_neighbouring_frames_and_places():
    x = torch.arange(4 * 2 * 2.0).view(1, 4, 2, 2, 1)
    assert Cutting((4, 2, 2), (2, 1, 2)).cut(x).squeeze(2).tolist() == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [8, 9, 12, 13],
        [10, 11, 14, 15],
    ]


def test_local_attention_stays_in_its_window(small_task):
    attention = small(small_task, window_frames=2, window_side=2).blocks[0].local_attention
    expected = torch.zeros(4, 3, 3, dtype=torch.bool)
    expected[:2, :2, :2] = True
    assert torch.equal(reached(attention), expected)


def test_padding_of_the_last_windows_is_not_attended_to(small_task):
    attention = small(small_task, window_frames=3, window_side=2).blocks[0].local_attention
    x = torch.randn(2, 4, 3, 3, 16)
    corner = attention.attention(x[:, 3:, 2:, 2:].flatten(1, 3))
    torch.testing.assert_close(attention(x)[:, 3:, 2:, 2:].flatten(1, 3), corner)


def test_global_attention_reaches_every_token(small_task):
    assert reached(small(small_task).blocks[0].global_attention).all()


def test_a_summary_starts_as_the_mean_of_its_frames(small_task):
    attention = small(small_task).blocks[0].global_attention
    x = torch.randn(1, 4, 3, 3, 16)
    means = attention.summary_norm(x.unflatten(1, (2, 2)).mean(2).flatten(1, 3))
    torch.testing.assert_close(attention.summarised(x), means)


def test_the_order_of_the_frames_matters(small_task):
    network = networks.lively(small(small_task))
    given = networks.clips(small_task)
    with torch.no_grad():
        network.frames.positions.normal_()
        forward, backward = (
            network(given._replace(frames=frames)).clip for frames in (given.frames, given.frames.flip(1))
        )
    assert (forward - backward).abs().max() > 1e-3


def test_dropout_changes_training_alone(small_task):
    network = networks.seeded(LogoFormer, small_task, **{**SMALL, "dropout": 0.5})
    given = networks.clips(small_task)
    with torch.no_grad():
        assert torch.equal(network.eval()(given).clip, network(given).clip)
        network.tokens.eval(), network.blocks.train()
        assert not torch.equal(network(given).clip, network(given).clip)


def test_the_compact_loss_is_part_of_the_loss(small_task):
    assert dict(small(small_task).loss_weights) == {"clip": 1.0, "compact": LogoFormerConfig().compact_weight}


def test_gradients_reach_every_parameter(small_task):
    network = small(small_task, window_frames=2).train()
    assert networks.without_gradient(network, networks.clips(small_task)) == []
