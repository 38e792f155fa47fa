import networks
import pytest

from dfer.train.models.frames.resnet_recurrent import ResNetRecurrent


def test_two_lstm_streams_have_the_27_million_parameters_of_ferv39k():
    network = networks.on_meta(ResNetRecurrent, networks.task(16, 112))
    assert networks.count(network) == 13_281_351
    assert 2 * networks.count(network) == pytest.approx(27e6, rel=0.03)


def test_a_gru_has_three_gates_where_an_lstm_has_four():
    sizes = {
        cell: networks.count(networks.on_meta(ResNetRecurrent, networks.task(4, 32), cell=cell).recurrence)
        for cell in ("lstm", "gru")
    }
    assert sizes == {"lstm": 4 * (2 * 512 * 512 + 2 * 512), "gru": 3 * (2 * 512 * 512 + 2 * 512)}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_every_parameter_learns_and_the_order_of_the_frames_matters(cell):
    network = networks.seeded(ResNetRecurrent, networks.task(4, 32), cell=cell, units=32)
    assert networks.order_matters(network, networks.clips(networks.task(4, 32))) == (True, True)
    assert networks.without_gradient(network, networks.clips(networks.task(4, 32))) == []


def test_the_layout_of_dfews_public_code_classifies_the_outputs_at_all_frames():
    network = networks.on_meta(ResNetRecurrent, networks.task(16, 112), layers=3, units=256, readout="frames")
    assert network.head.weight.shape == (7, 16 * 256)
    small = networks.seeded(ResNetRecurrent, networks.task(4, 32), layers=3, units=16, readout="frames")
    assert networks.without_gradient(small, networks.clips(networks.task(4, 32))) == []
