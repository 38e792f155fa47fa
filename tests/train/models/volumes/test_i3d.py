import networks
import pytest
import torch

from dfer.train.models.volumes.blocks import SameMaxPool3d, same_padding
from dfer.train.models.volumes.i3d import I3D

TINY = {"width": 4, "dropout": 0.0}


def test_two_streams_have_the_25_million_parameters_of_the_paper():
    stream = networks.millions(networks.on_meta(I3D, networks.task(64, 224, classes=400)))
    assert 2 * stream == pytest.approx(25, rel=0.03)
    assert I3D.source.parameters is None  # of one stream


def test_maps_have_the_sizes_of_the_papers_figure():
    task = networks.task(64, 224)
    with torch.device("meta"):
        maps = networks.on_meta(I3D, task).maps(networks.clips(task, 1).frames)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (192, 32, 28, 28),
        (480, 32, 28, 28),
        (832, 16, 14, 14),
        (1024, 8, 7, 7),
    ]


@pytest.mark.parametrize(
    ("size", "taps", "step"), [(7, 3, 2), (8, 3, 2), (8, 2, 2), (7, 7, 2), (5, 3, 1), (1, 2, 2)]
)
def test_padding_rounds_sizes_up_and_gives_the_end_more(size, taps, step):
    before, after = same_padding([size], [taps], [step])
    assert (size + before + after - taps) // step + 1 == -(-size // step)
    assert before <= after <= before + 1


def test_padding_never_wins_the_maximum():
    x = -torch.ones(1, 1, 4, 4, 4)
    for stride in ((1, 1, 1), (2, 2, 2)):
        assert (SameMaxPool3d((3, 3, 3), stride)(x) == -1).all()


def test_scores_are_the_mean_over_windows_of_two_frames():
    network, given = networks.with_clips(I3D, networks.task(24, 32), **TINY)
    last = network.eval().maps(given.frames)[-1].mean((3, 4))
    assert last.shape[2] == 3
    windows = [last[:, :, :2].mean(2), last[:, :, 1:].mean(2)]
    expected = torch.stack([network.head(window) for window in windows]).mean(0)
    torch.testing.assert_close(network(given).clip, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("frames", "size"), [(1, 16), (5, 40), (33, 97)])
def test_a_clip_of_any_length_and_size_is_scored(frames, size):
    task = networks.task(frames, size)
    with torch.device("meta"):
        assert networks.on_meta(I3D, task)(networks.clips(task)).clip.shape == (2, 7)


def test_a_step_reaches_every_parameter():
    assert not networks.without_gradient(*networks.with_clips(I3D, networks.task(8, 64), **TINY))


def test_the_order_of_frames_matters():
    network, given = networks.with_clips(I3D, networks.task(16, 32), **TINY)
    scores, backwards = network.eval()(given).clip, network(networks.reversed_in_time(given)).clip
    assert not torch.allclose(scores, backwards, rtol=1e-2)


def test_the_listed_parts_add_up():
    assert networks.described(I3D, networks.task(64, 224)).shapes["stages.2"] == (1024, 8, 7, 7)
