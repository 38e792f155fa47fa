import networks
import pytest
import torch

from dfer.train.models.volumes.p3d import P3D, Bottleneck

TINY = {"width": 4, "dropout": 0.0}


@pytest.mark.parametrize(("layers", "megabytes"), [("63", 98), ("199", 261)])
def test_the_parameters_of_p3d_fill_the_megabytes_of_the_paper(layers, megabytes):
    network = networks.on_meta(P3D, networks.task(16, 160, classes=101), layers=layers)
    assert 4 * networks.millions(network) == pytest.approx(megabytes, rel=0.03)


def test_the_default_is_the_98_megabytes_that_tables_print():
    network = networks.on_meta(P3D, networks.task(16, 160))
    assert networks.millions(network) == pytest.approx(98 / 4, rel=0.03)
    assert P3D.source.parameters is None  # no number of parameters is printed


def test_maps_shrink_in_space_and_time_to_one_frame():
    task = networks.task(16, 160)
    with torch.device("meta"):
        maps = networks.on_meta(P3D, task).maps(networks.clips(task, 1).frames)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (64, 8, 40, 40),
        (256, 8, 40, 40),
        (512, 4, 20, 20),
        (1024, 2, 10, 10),
        (2048, 1, 5, 5),
    ]


def test_the_kinds_of_block_alternate_through_the_first_three_stages():
    stages = networks.on_meta(P3D, networks.task(16, 160)).stages
    assert "".join(block.kind for stage in stages for block in stage) == "ABCABCABCABCA"
    assert [block.time is None for block in stages[3]] == [True] * 3


@pytest.mark.parametrize("kind", "ABC")
def test_a_block_joins_space_and_time_as_its_kind_says(kind):
    torch.manual_seed(0)
    block = Bottleneck(16, 4, 1, kind).eval()
    x = torch.randn(1, 4, 5, 6, 6)
    space, time = block.space, block.time
    s = space(x).relu()
    joined = {"A": time(s).relu(), "B": (s + time(x)).relu(), "C": (s + time(s)).relu()}[kind]
    outer = torch.randn(1, 16, 5, 6, 6)
    torch.testing.assert_close(block._joined(x), joined)
    inner = block._joined(block.reduce(outer).relu())
    torch.testing.assert_close(block(outer), (block.expand(inner) + outer).relu())


@pytest.mark.parametrize(("frames", "size"), [(1, 16), (5, 40), (33, 97)])
def test_a_clip_of_any_length_and_size_is_scored(frames, size):
    task = networks.task(frames, size)
    with torch.device("meta"):
        assert networks.on_meta(P3D, task)(networks.clips(task)).clip.shape == (2, 7)


def test_a_step_reaches_every_parameter():
    assert not networks.without_gradient(*networks.with_clips(P3D, networks.task(4, 48), **TINY))


def test_the_order_of_frames_matters():
    network, given = networks.with_clips(P3D, networks.task(8, 32), **TINY)
    scores, backwards = network.eval()(given).clip, network(networks.reversed_in_time(given)).clip
    assert not torch.allclose(scores, backwards, rtol=1e-2)


def test_the_listed_parts_add_up():
    assert networks.described(P3D, networks.task(16, 160)).shapes["stages.3"] == (2048, 1, 5, 5)
