import torch

from dfer.train.models.keypoint.temporal import TemporalLstm, TemporalTransformer, block


def test_a_block_adds_normed_attention_then_a_normed_mlp():
    torch.manual_seed(0)
    part = block(width=32, heads=2, head_dim=8, mlp_width=48).double()
    x = torch.randn(2, 5, 32, dtype=torch.float64)

    def normed(z):
        return (z - z.mean(-1, keepdim=True)) / torch.sqrt(z.var(-1, keepdim=True, unbiased=False) + 1e-5)

    first, _, second, _ = part.mlp
    y = x + part.attention(normed(x))
    hidden = normed(y) @ first.weight.T + first.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))  # GELU
    torch.testing.assert_close(part(x), y + hidden @ second.weight.T + second.bias)


def test_the_class_token_leaves_and_the_order_of_frames_matters():
    torch.manual_seed(0)
    temporal = TemporalTransformer(width=64, frames=6, depth=2, heads=2, head_dim=32, mlp_width=96)
    x = torch.randn(3, 6, 64)
    tokens = torch.cat([temporal.token.expand(3, -1, -1), x], 1) + temporal.positions
    for part in temporal.blocks:
        tokens = part(tokens)
    torch.testing.assert_close(temporal(x), tokens[:, 0])
    assert not torch.allclose(temporal(x), temporal(x.flip(1)))


def test_lstm_is_the_last_state():
    temporal, x = TemporalLstm(16), torch.randn(3, 5, 16)
    torch.testing.assert_close(temporal(x), temporal.lstm(x)[1][0][0])
