import pytest
import torch
from networks import build

from dfer.schemas.keypoints import DLIB18
from dfer.train.config import RecipeConfig, load_config
from dfer.train.engine.averaging import averaged_copy
from dfer.train.engine.optim import clip_gradients, learning_rate, make_optimiser, set_learning_rate
from dfer.train.models.keypoint.settings import KeypointSettings


def rates(recipe, steps_an_epoch=10):
    return [learning_rate(recipe, n / steps_an_epoch) for n in range(recipe.epochs * steps_an_epoch)]


def test_the_papers_learning_rate_drops_tenfold_after_epochs_40_and_60():
    recipe = load_config("paper").recipe
    assert [learning_rate(recipe, e) for e in (0, 39.99, 40, 59.99, 60, 79)] == pytest.approx(
        [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]
    )


def test_cosine_equals_torchs_schedule_and_ends_at_zero():
    recipe = RecipeConfig(epochs=30, schedule="cosine", learning_rate=0.1)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=0.1)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=30)
    for epoch in range(30):
        assert learning_rate(recipe, epoch) == pytest.approx(peer.get_last_lr()[0])
        optimiser.step()
        peer.step()
    assert learning_rate(recipe, 30) == 0


def test_warm_up_grows_to_the_initial_learning_rate():
    recipe = RecipeConfig(epochs=10, warmup_epochs=2, schedule="cosine", learning_rate=0.1)
    found = rates(recipe)
    assert 0 < found[0] < 0.001 and found[20] == pytest.approx(0.1)
    assert found[:21] == sorted(found[:21]) and found[20:] == sorted(found[20:], reverse=True)


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_weight_decay_applies_to_matrices_and_convolutions_only(kind):
    network = build(KeypointSettings(depth=1), 7, 4, 0, DLIB18)
    optimiser = make_optimiser(network, RecipeConfig(optimiser=kind, weight_decay=0.05))
    names = {id(weight): name for name, weight in network.named_parameters()}
    decayed, others = ([names[id(w)] for w in group["params"]] for group in optimiser.param_groups)
    assert (optimiser.param_groups[0]["weight_decay"], optimiser.param_groups[1]["weight_decay"]) == (0.05, 0)
    assert "backbone.conv1.weight" in decayed and "graph.relation" in decayed
    kept = {"temporal.token", "temporal.positions", "backbone.bn1.weight", "clip_head.bias"}
    assert kept <= set(others) and len(decayed) + len(others) == len(names)


@pytest.mark.parametrize(("settings", "moves"), [({}, (1.9, 2.71)), ({"nesterov": False}, (1, 1.9))])
def test_momentum_is_nesterovs_unless_a_recipe_says_otherwise(settings, moves):
    """The gradient is always 1, so the velocity is 1, then 1.9; Nesterov's step is the gradient + 0.9 × velocity."""
    network = torch.nn.Linear(1, 1, bias=False)
    optimiser = make_optimiser(network, RecipeConfig(optimiser="sgd", learning_rate=1, **settings))
    for expected in moves:
        before = network.weight.item()
        network.weight.grad = torch.ones(1, 1)
        optimiser.step()
        assert before - network.weight.item() == pytest.approx(expected, rel=1e-5)


def test_plain_momentum_where_the_source_of_a_preset_has_it():
    assert not load_config("former-dfer").recipe.nesterov and load_config("paper").recipe.nesterov


def test_loaded_weights_learn_at_their_share_of_the_learning_rate():
    network, recipe = (
        build(KeypointSettings(depth=1), 7, 4, 0, DLIB18),
        RecipeConfig(optimiser="sgd", momentum=0, loaded_lr=0.25, weight_decay=0.1),
    )
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    loaded = {"backbone.conv1.weight", "backbone.bn1.bias", "temporal.token"}
    optimiser = make_optimiser(network, recipe, loaded)
    set_learning_rate(optimiser, 0.5)
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    optimiser.step()
    for name, weight in network.named_parameters():
        decay = 0.1 if weight.ndim > 1 and not name.endswith(("token", "positions")) else 0
        rate = 0.5 * (0.25 if name in loaded else 1)
        torch.testing.assert_close(weight.detach(), before[name] - rate * (1 + decay * before[name]))
    assert (
        len(make_optimiser(network, RecipeConfig(), loaded).param_groups) == 2
    )  # a factor of 1 changes nothing


def test_gradients_are_clipped_together_and_not_at_all_at_zero():
    weights = [torch.nn.Parameter(torch.zeros(3)), torch.nn.Parameter(torch.zeros(1))]
    for norm, expected in ((0, 5.0), (10, 5.0), (1, 1.0)):
        weights[0].grad, weights[1].grad = torch.tensor([3.0, 0, 0]), torch.tensor([4.0])
        clip_gradients(weights, norm)
        assert torch.cat([w.grad for w in weights]).norm().item() == pytest.approx(expected, rel=1e-4)


def test_the_moving_average_equals_its_formula():
    network = torch.nn.Linear(2, 2)
    averaged = averaged_copy(network, 0.9)
    expected = network.weight.detach().clone()
    for update in range(40):
        with torch.no_grad():
            network.weight += 1
        averaged.update_parameters(network)
        kept = min(0.9, (1 + update) / (10 + update)) if update else 0.0
        expected = kept * expected + (1 - kept) * network.weight.detach()
    torch.testing.assert_close(averaged.module.weight.detach(), expected)
