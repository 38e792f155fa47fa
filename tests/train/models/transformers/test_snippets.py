import networks
import pytest
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.models.transformers.est import EST
from dfer.train.models.transformers.snippets import (
    SnippetConfig,
    SnippetOrder,
    block,
    random_orders,
    sinusoids,
)
from dfer.train.models.transformers.t_esfl import TESFL

TINY = {"depth": 1, "mlp_width": 16, "dropout": 0.0}


@pytest.mark.parametrize("cross", [False, True])
def test_a_block_is_that_of_the_first_transformer(cross):
    config = SnippetConfig(heads=2, mlp_width=8, dropout=0.3)
    part = block(6, config, cross=cross)
    assert not part.norm_first
    assert (part.cross is not None) == cross
    first, inner, second, _ = part.mlp
    assert (first.out_features, second.in_features) == (8, 8)
    torch.testing.assert_close(inner.eval()(torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 2.0]))


def test_positions_are_sines_and_cosines_of_falling_frequency():
    places = sinusoids(3, 4)
    angles = torch.tensor([0.0, 1.0, 2.0])
    expected = [angles.sin(), angles.cos(), (angles / 100).sin(), (angles / 100).cos()]
    torch.testing.assert_close(places, torch.stack(expected, 1))


def test_orders_are_different_permutations_and_no_more_than_there_are():
    orders = random_orders(7, 10)
    assert len({tuple(order) for order in orders}) == 10
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert [SnippetOrder(4, count, 10).orders for count in (1, 2, 3, 4)] == [1, 2, 6, 10]


def test_snippets_are_put_where_an_order_says():
    order = SnippetOrder(4, 3, 6)
    snippets = torch.randn(3, 4)
    for shuffle, chosen in zip(order.shuffles, random_orders(3, 6), strict=True):
        assert torch.equal(shuffle @ snippets, snippets[chosen])


def test_the_order_trains_the_clip_but_not_the_snippets():
    torch.manual_seed(0)
    snippets, clip = torch.randn(4, 3, 4, requires_grad=True), torch.randn(4, 4, requires_grad=True)
    SnippetOrder(4, 3, 6)(snippets, clip).sum().backward()
    assert snippets.grad is None
    assert clip.grad.abs().sum() > 0


def test_the_order_can_be_learnt():
    torch.manual_seed(0)
    order = SnippetOrder(8, 3, 6)
    optimiser = torch.optim.Adam(order.parameters(), 0.01)
    places = torch.eye(3, 8).expand(32, -1, -1)  # snippets that show their place
    for _ in range(30):
        optimiser.zero_grad()
        loss = order(places, 0.1 * torch.randn(32, 8)).mean()
        loss.backward()
        optimiser.step()
    assert loss < 0.9  # guessing one of six orders gives 1.8


@pytest.mark.parametrize("kind", [EST, TESFL])
def test_the_order_is_drawn_in_training_and_costs_nothing_when_predicting(kind):
    network, given = networks.with_clips(kind, networks.task(7, 32), **TINY)
    assert network.loss_weights == {"clip": 1.0, "order": pytest.approx(1 / 7)}
    drawn = [network.train()(given).penalties["order"] for _ in range(4)]
    assert all(order.shape == (2,) for order in drawn)
    assert len({order.sum().item() for order in drawn}) > 1
    assert not network.eval()(given).penalties


@pytest.mark.parametrize("kind", [EST, TESFL])
def test_a_clip_alone_in_its_batch_can_be_trained_on(kind):
    torch.manual_seed(0)
    task = networks.task(7, 32)
    network = kind(kind.Config(**TINY), task).train()
    scores = network(networks.clips(task, 1))
    assert torch.isfinite(scores.clip).all()
    assert scores.penalties["order"].shape == (1,)


@pytest.mark.parametrize("kind", [EST, TESFL])
def test_the_order_of_snippets_matters_and_that_of_frames_in_a_snippet_does_not(kind):
    network, given = networks.with_clips(kind, networks.task(6, 32), snippets=3, **TINY)
    scores = network.eval()(given).clip
    within = network(given._replace(frames=given.frames[:, [1, 0, 2, 3, 5, 4]])).clip
    across = network(given._replace(frames=given.frames[:, [2, 3, 0, 1, 4, 5]])).clip
    torch.testing.assert_close(within, scores, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(across, scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [EST, TESFL])
def test_a_step_reaches_every_parameter(kind):
    assert not networks.without_gradient(*networks.with_clips(kind, networks.task(14, 32), **TINY))


@pytest.mark.parametrize(("frames", "size"), [(1, 16), (5, 40), (40, 97)])
@pytest.mark.parametrize("kind", [EST, TESFL])
def test_a_clip_of_any_length_and_size_is_scored(kind, frames, size):
    task = networks.task(frames, size)
    with torch.device("meta"):
        assert networks.on_meta(kind, task)(networks.clips(task)).clip.shape == (2, 7)


def test_heads_that_do_not_divide_the_features_are_refused():
    with pytest.raises(UserError, match="--heads 3: must divide 512"):
        SnippetConfig(heads=3)
