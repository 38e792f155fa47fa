import networks
import pytest
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.models.transformers.stt import Stt

SMALL = {"width": 16, "depth": 2, "heads": 2, "mlp_width": 32, "dropout": 0.0}


@pytest.fixture(scope="module")
def published():
    return networks.on_meta(Stt, networks.task())


@pytest.fixture(scope="module")
def small_task():
    return networks.task(4, 48, 3)


@pytest.fixture
def small(small_task):
    return networks.seeded(Stt, small_task, **SMALL).eval()


def test_the_count_is_that_of_the_described_parts(published):
    """No count is printed. ResNet-18 to stage 3, projection, positions, 4 blocks of width 512, norm, head."""
    attention, hidden = 4 * 512**2 + 512, 2 * 512 * 2048 + 2048 + 512
    block = 3 * 2 * 512 + 2 * attention + hidden
    around = 2_782_784 + (256 + 1) * 512 + (49 + 17 + 1) * 512 + 2 * 512 + 7 * 513
    assert networks.count(published) == around + 4 * block == 19_757_127


def test_stages_have_the_described_shapes(published):
    assert networks.shapes(published, networks.task(), "tokens.backbone.layer3", "tokens", "norm") == {
        "tokens.backbone.layer3": (32, 256, 7, 7),
        "tokens": (2, 16, 49, 512),
        "norm": (2, 512),
    }


@pytest.mark.parametrize(("num_frames", "image_size"), [(1, 16), (5, 100), (16, 224)])
def test_it_takes_any_number_of_frames_and_size(num_frames, image_size):
    task = networks.task(num_frames, image_size)
    found = networks.scores(networks.on_meta(Stt, task), networks.clips(task, device="meta"))
    assert found.shape == (2, task.classes)


def test_a_width_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(UserError) as error:
        networks.on_meta(Stt, networks.task(), width=100)
    assert str(error.value) == "--width 100: not a multiple of --heads 8"


def test_the_order_of_the_frames_matters_through_their_positions_alone(small, small_task):
    given, small = networks.clips(small_task), networks.lively(small)
    backward = given._replace(frames=given.frames.flip(1))
    with torch.no_grad():
        small.frames.positions[1:].normal_()
        assert (small(given).clip - small(backward).clip).abs().max() > 1e-3
        small.frames.positions[1:] = 0
        torch.testing.assert_close(small(given).clip, small(backward).clip)


def test_space_mixes_a_frame_and_time_mixes_a_place(small):
    block = small.blocks[0]
    x = torch.randn(1, 4, 9, 16, requires_grad=True)
    block(torch.zeros(1, 1, 16), x)[1][0, 0, 0].sum().backward()
    reached = x.grad[0].abs().amax(2) > 0
    assert reached[0].all()  # every place of the same frame
    assert reached[:, 0].all()  # the same place in every frame
    assert reached.all()  # places of other frames by way of the same place there


def test_the_class_token_sees_every_place_in_every_frame(small):
    x = torch.randn(1, 4, 9, 16, requires_grad=True)
    small.blocks[0](torch.zeros(1, 1, 16), x)[0].square().sum().backward()
    assert (x.grad.abs().amax(3) > 0).all()


def test_the_compact_loss_is_weighted_or_absent(small_task):
    truth = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    scores = networks.seeded(Stt, small_task, **SMALL).eval()(networks.clips(small_task))
    for weight, parts in ((0.5, {"clip": 1.0, "compact": 0.5}), (0.0, {"clip": 1.0})):
        network = networks.seeded(Stt, small_task, **SMALL, compact_weight=weight)
        assert dict(network.loss_weights) == parts
        assert {"clip", *network.judged(scores, truth)} == {*parts}


def test_gradients_reach_every_parameter(small, small_task):
    assert networks.without_gradient(small, networks.clips(small_task)) == []
