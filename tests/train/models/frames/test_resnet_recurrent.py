import pytest

from dfer.train.models.frames.resnet_recurrent import ResNetRecurrent


def test_two_lstm_streams_have_the_27_million_parameters_of_ferv39k(bench):
    network = bench.build(ResNetRecurrent, frames=16, size=112, device="meta")
    assert bench.parameters(network) == 13_281_351
    assert 2 * bench.parameters(network) == pytest.approx(27e6, rel=0.03)


def test_a_gru_has_three_gates_where_an_lstm_has_four(bench):
    sizes = {
        cell: bench.parameters(bench.build(ResNetRecurrent, cell=cell, device="meta").recurrence)
        for cell in ("lstm", "gru")
    }
    assert sizes == {"lstm": 4 * (2 * 512 * 512 + 2 * 512), "gru": 3 * (2 * 512 * 512 + 2 * 512)}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_every_parameter_learns_and_the_order_of_the_frames_matters(bench, cell):
    network = bench.build(ResNetRecurrent, cell=cell, units=32)
    assert bench.order_matters(network, bench.clips()) == (True, True)
    assert bench.untrained(network, bench.clips()) == []


def test_the_layout_of_dfews_public_code_classifies_the_outputs_at_all_frames(bench):
    network = bench.build(
        ResNetRecurrent, frames=16, size=112, device="meta", layers=3, units=256, readout="frames"
    )
    assert network.head.weight.shape == (7, 16 * 256)
    small = bench.build(ResNetRecurrent, layers=3, units=16, readout="frames")
    assert bench.untrained(small, bench.clips()) == []
