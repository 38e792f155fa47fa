"""Shapes and count are those of the authors' public code, commit 1e0c8bb, compared parameter by parameter."""

import networks
import pytest
import torch
from torch import nn

from dfer.schemas.support.errors import UserError
from dfer.train.models.transformers.nr_dfernet import EXCLUDED, NrDferNet

LABELS = ("Neutral", "happy", "sad")
SMALL = {"static_mlp_width": 8, "mlp_width": 8, "depth": 1, "static_depth": 1}


@pytest.fixture(scope="module")
def published():
    return networks.on_meta(NrDferNet, networks.task())


@pytest.fixture(scope="module")
def small_task():
    return networks.task(6, 32, 3, labels=LABELS)


def small(task, **settings):
    return networks.seeded(NrDferNet, task, **SMALL, **settings)


def test_the_published_size_has_the_public_codes_parameters(published):
    total = networks.count(published)
    assert total == 18_719_687
    assert total == pytest.approx(19e6, rel=0.03)  # printed
    by_part = {"stages": 1_262_016, "fusion": 4_730_368, "temporal": 12_698_624, "head": 28_679}
    assert {name: networks.count(published.get_submodule(name)) for name in by_part} == by_part


def test_stages_have_the_public_codes_shapes(published):
    assert networks.shapes(
        published, networks.task(), "stages.layer1", "stages", "fusion.dynamic", "fusion", "temporal"
    ) == {
        "stages.layer1": (32, 64, 28, 28),
        "stages": (32, 256, 7, 7),
        "fusion.dynamic": (30, 256, 4, 4),
        "fusion": (2, 15, 256, 4, 4),
        "temporal": (2, 4096),
    }
    assert published.temporal.positions.shape == (1, 16, 4096)
    assert published.fusion.positions.shape == (1, 16, 256)


@pytest.mark.parametrize(("num_frames", "image_size"), [(2, 16), (5, 100), (16, 224)])
def test_it_takes_any_size_and_two_frames_or_more(num_frames, image_size):
    task = networks.task(num_frames, image_size, 3, labels=LABELS)
    found = networks.scores(networks.on_meta(NrDferNet, task), networks.clips(task, device="meta"))
    assert found.shape == (2, task.classes)


def test_a_single_frame_is_refused():
    with pytest.raises(UserError) as error:
        networks.on_meta(NrDferNet, networks.task(num_frames=1))
    assert str(error.value) == "--num-frames 1: NR-DFERNet needs at least 2"


@pytest.mark.parametrize(
    ("labels", "settings", "neutral"),
    [
        (LABELS, {}, 0),
        (("happy", "sad", "NEU"), {}, 2),
        (("happy", "sad", "fear"), {}, None),
        ((), {}, None),
        (LABELS, {"snippet_filter": False}, None),
    ],
)
def test_the_neutral_class_is_found_by_its_meaning(labels, settings, neutral):
    task = networks.task(6, 32, 3, labels=labels)
    assert networks.on_meta(NrDferNet, task, **SMALL, **settings).neutral == neutral


def test_the_class_token_starts_as_the_mean_of_the_differences(small_task):
    temporal = small(small_task).temporal
    temporal.blocks = nn.Identity()
    x = torch.randn(2, 5, 256)
    torch.testing.assert_close(temporal(x), x.mean(1) + temporal.positions[0, 0])


def test_only_differences_reach_the_dynamic_branch(small_task):
    fusion = small(small_task).eval().fusion
    seen = []
    fusion.dynamic.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    maps = torch.randn(1, 3, 256, 2, 2)
    fusion(maps)
    torch.testing.assert_close(seen[0], torch.stack([maps[0, 1] - maps[0, 0], maps[0, 2] - maps[0, 1]]))


def test_the_order_of_the_frames_matters(small_task):
    network, given = small(small_task).eval(), networks.clips(small_task)
    with torch.no_grad():
        forward, backward = (
            network(given._replace(frames=frames)).clip for frames in (given.frames, given.frames.flip(1))
        )
    assert (forward - backward).abs().max() > 1e-3


def test_snippets_overlap_by_one_difference(small_task):
    x = torch.arange(15.0).view(1, 15, 1)
    cut = small(small_task).snippets(x)[:, :, 0]
    assert cut.tolist() == [[start, start + 1, start + 2] for start in range(0, 13, 2)]


def test_a_snippet_sure_of_another_class_excludes_neutral(small_task):
    network = small(small_task)
    scores = torch.tensor([[3.0, 1, 2], [3, 1, 2], [3, 1, 2]])
    even, sure_neutral, sure_other = [0.0, 0, 0], [9.0, 0, 0], [0.0, 9, 0]
    of_snippets = torch.tensor([even, sure_neutral, even, sure_other, sure_other, sure_other])
    filtered = network.filtered(scores, of_snippets)
    assert filtered[0].tolist() == [3, 1, 2]
    assert filtered[1:].tolist() == [[3 - EXCLUDED, 1, 2]] * 2


def test_the_filter_works_on_predictions_alone(small_task):
    network = small(small_task, snippet_neutral=1.0, snippet_certain=0.0)
    given = networks.clips(small_task)
    with torch.no_grad():
        assert (network.train()(given).clip[:, 0] > -EXCLUDED / 2).all()
        assert (network.eval()(given).clip[:, 0] < -EXCLUDED / 2).all()


def test_gradients_reach_every_parameter(small_task):
    network = small(small_task)
    assert networks.without_gradient(network, networks.clips(small_task)) == []
