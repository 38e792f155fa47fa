import pytest
import torch

from dfer.train.models.recurrent import Recurrence


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_readouts_are_the_last_output_or_all(cell):
    x = torch.randn(2, 5, 6)
    last = Recurrence(6, 4, cell=cell, layers=2)
    frames = Recurrence(6, 4, cell=cell, layers=2, readout="frames")
    frames.load_state_dict(last.state_dict())
    outputs = last.cell(x)[0]
    torch.testing.assert_close(last(x), outputs[:, 4])
    torch.testing.assert_close(frames(x), outputs.reshape(2, 20))


def test_the_last_output_depends_on_the_first_frame():
    recurrence = Recurrence(6, 4, cell="gru")
    x = torch.randn(1, 5, 6, requires_grad=True)
    recurrence(x).sum().backward()
    assert (x.grad.abs().sum(2) > 0).all()
