import networks
import pytest
import torch

from dfer.train.models.transformers.est import EST, AttendedSnippet
from dfer.train.models.transformers.snippets import SnippetConfig


def test_est_has_the_43_million_parameters_of_the_tables():
    network = networks.on_meta(EST, networks.task(35, 224))
    assert networks.millions(network) == pytest.approx(EST.source.parameters, rel=0.03)
    assert EST.source.parameters == 43.0


def test_a_clip_is_seven_snippets_of_five_frames():
    task = networks.task(35, 224)
    with torch.device("meta"):
        network, given = networks.on_meta(EST, task), networks.clips(task)
        snippets, clip = network.encoded(given)
    assert network.segments.shape == (7, 5)
    assert snippets.shape == (2, 7, 512)
    assert clip.shape == (2, 512)


def test_a_snippet_is_the_mean_of_its_frames_weighted_by_likeness_to_their_maximum():
    torch.manual_seed(0)
    part = AttendedSnippet(8, SnippetConfig(heads=2)).eval()
    frames = torch.randn(1, 3, 8)
    x = part.norm(frames + part.attention(frames))[0]
    top = x.max(0).values
    weights = torch.stack([torch.dot(row, top) / row.norm() / top.norm() for row in x]).clamp(min=1e-8)
    torch.testing.assert_close(part(frames)[0], weights @ x / weights.sum())


def test_the_listed_parts_add_up():
    assert networks.described(EST, networks.task(35, 224), ("order",)).shapes["transformer"] == (512,)
