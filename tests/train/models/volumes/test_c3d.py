import networks
import pytest
import torch

from dfer.train.models.volumes.c3d import C3D, C3DLSTM, STAGES, Convolutions

TINY = {"width": 4, "fc_width": 16, "dropout": 0.0}


def test_c3d_has_the_78_million_parameters_of_the_tables():
    network = networks.on_meta(C3D, networks.task(16, 112))
    assert networks.millions(network) == pytest.approx(C3D.source.parameters, rel=0.03)
    assert C3D.source.parameters == 78.0


def test_c3d_with_the_classes_of_sports_1m_fills_the_321_megabytes_that_p3ds_paper_prints():
    assert 4 * networks.millions(networks.on_meta(C3D, networks.task(16, 112, classes=487))) == pytest.approx(
        321, rel=0.01
    )


def test_the_poolings_halve_space_from_the_first_and_time_from_the_second():
    with torch.device("meta"):
        x, layers, sizes = torch.empty(1, 3, 16, 112, 112), Convolutions(64), []
        for layer in layers:
            x = layer(x)
            if isinstance(layer, torch.nn.MaxPool3d):
                sizes.append(tuple(x.shape[1:]))
    assert sizes == [(64, 16, 56, 56), (128, 8, 28, 28), (256, 4, 14, 14), (512, 2, 7, 7), (512, 1, 4, 4)]
    assert sum(len(widths) for widths, _ in STAGES) == 8


@pytest.mark.parametrize(("frames", "size"), [(1, 16), (5, 40), (17, 97)])
@pytest.mark.parametrize("kind", [C3D, C3DLSTM])
def test_a_clip_of_any_length_and_size_is_scored(kind, frames, size):
    task = networks.task(frames, size)
    with torch.device("meta"):
        assert networks.on_meta(kind, task)(networks.clips(task)).clip.shape == (2, 7)


@pytest.mark.parametrize("kind", [C3D, C3DLSTM])
def test_a_step_reaches_every_parameter(kind):
    assert not networks.without_gradient(*networks.with_clips(kind, networks.task(8, 32), **TINY))


@pytest.mark.parametrize("kind", [C3D, C3DLSTM])
def test_the_order_of_frames_matters(kind):
    network, given = networks.with_clips(kind, networks.task(8, 32), **TINY)
    scores, backwards = network.eval()(given).clip, network(networks.reversed_in_time(given)).clip
    assert not torch.allclose(scores, backwards, atol=1e-4)


def test_features_neither_grow_nor_vanish_before_training():
    network, given = networks.with_clips(C3D, networks.task(16, 64), width=16, fc_width=64)
    assert 0.01 < network.eval()(given).clip.std() < 10


def test_the_lstm_reads_the_segments_in_order():
    network, given = networks.with_clips(C3DLSTM, networks.task(8, 32), segments=4, **TINY)
    swapped = given.frames[:, [2, 3, 0, 1, 4, 5, 6, 7]]  # first and second segment
    scores = network.eval()(given).clip
    assert not torch.allclose(scores, network(given._replace(frames=swapped)).clip, atol=1e-5)
    assert network.fc6[0].in_features == 8 * TINY["width"]  # of a segment, not of the clip


def test_c3d_with_an_lstm_has_70_7_million_parameters_with_segments_of_16_frames():
    """27.7 M in the convolutions, 33.6 M in fc6, 9.4 M in the LSTM; the paper prints no number."""
    assert networks.millions(networks.on_meta(C3DLSTM, networks.task(64, 112))) == pytest.approx(
        70.7, abs=0.1
    )


def test_c3d_needs_the_38_5_giga_multiply_adds_that_its_authors_print_later():
    """Tran et al. 2017, "ConvNet Architecture Search"."""
    found = networks.described(C3D, networks.task(16, 112))
    assert found.giga_multiply_adds == pytest.approx(38.5, rel=0.01)
    assert found.shapes["convolutions"] == (512, 1, 4, 4)


def test_the_parts_of_c3d_with_an_lstm_add_up():
    assert networks.described(C3DLSTM, networks.task(64, 112)).shapes["lstm"] == (512,)
