import networks
import pytest
import torch

from dfer.train.models.transformers.t_esfl import TESFL, WeighedSnippet


def test_t_esfl_has_41_7_million_parameters():
    """11.2 M in ResNet-18, 22.1 M in the transformer, 8.4 M for the order; the paper prints no number."""
    assert networks.millions(networks.on_meta(TESFL, networks.task(35, 224))) == pytest.approx(41.7, abs=0.1)
    assert TESFL.source.parameters is None
    assert TESFL.source.gaps


def test_a_snippet_is_the_mean_of_its_frames_weighed_by_a_sigmoid():
    torch.manual_seed(0)
    part = WeighedSnippet(4)
    frames = torch.randn(1, 3, 4)
    weights = 1 / (1 + torch.exp(-(frames[0] @ part.weight.weight[0] + part.weight.bias)))
    torch.testing.assert_close(part(frames)[0], (weights[:, None] * frames[0]).sum(0) / weights.sum())


def test_the_listed_parts_add_up():
    assert networks.described(TESFL, networks.task(35, 224), ("order",)).shapes["transformer"] == (512,)
