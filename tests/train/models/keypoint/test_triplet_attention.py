import numpy as np
import pytest
import torch

from dfer.train.models.keypoint.triplet_attention import Gate, TripletAttention


def plain_gate(plane_max, plane_mean, gate):
    """One gate value per cell of a plane (a, b), with loops: 7×7 convolution of two planes, norm, sigmoid."""
    kernel = gate.conv.weight.detach().double().numpy()[0]
    stacked = np.pad(np.stack([plane_max, plane_mean]), ((0, 0), (3, 3), (3, 3)))
    rows, columns = plane_max.shape
    out = np.empty((rows, columns))
    for r in range(rows):
        for c in range(columns):
            out[r, c] = (stacked[:, r : r + 7, c : c + 7] * kernel).sum()
    norm = gate.bn
    mean, var = norm.running_mean.item(), norm.running_var.item()
    out = (out - mean) / np.sqrt(var + norm.eps) * norm.weight.item() + norm.bias.item()
    return 1 / (1 + np.exp(-out))


@pytest.fixture
def attention():
    torch.manual_seed(0)
    module = TripletAttention().double().eval()
    for gate in module.gates:
        gate.bn.running_mean.fill_(0.3), gate.bn.running_var.fill_(1.7)
        gate.bn.weight.data.fill_(1.3), gate.bn.bias.data.fill_(-0.2)
    return module


def test_the_gates_and_their_mean_equal_the_written_out_formula(attention):
    x = torch.randn(2, 9, 5, 6, dtype=torch.float64)
    result = attention(x).detach().numpy()
    for b, volume in enumerate(x.numpy()):  # (C, h, w)
        expected = np.zeros_like(volume)
        for axis, gate in zip((0, 1, 2), attention.gates, strict=True):
            plane = plain_gate(volume.max(axis), volume.mean(axis), gate)
            expected += volume * np.expand_dims(plane, axis)
        np.testing.assert_allclose(result[b], expected / 3, atol=1e-12)


def test_each_gate_spans_two_axes_and_broadcasts_over_the_third():
    x = torch.randn(2, 9, 5, 6)
    shapes = [tuple(Gate(pooled)(x).shape) for pooled in (1, 2, 3)]
    assert shapes == [(2, 1, 5, 6), (2, 9, 1, 6), (2, 9, 5, 1)]


def test_there_are_300_parameters(attention):
    assert sum(p.numel() for p in attention.parameters()) == 3 * (2 * 49 + 2)
