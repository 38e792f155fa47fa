import numpy as np
import pytest
import torch
from torch import nn

from dfer.train.models.attention import Attention, Block, mlp


def copied(attention, theirs):
    """Give torch's attention the weights of ours."""
    theirs.load_state_dict(
        {
            "in_proj_weight": attention.qkv.weight,
            "in_proj_bias": attention.qkv.bias,
            "out_proj.weight": attention.out.weight,
            "out_proj.bias": attention.out.bias,
        }
    )
    return theirs


@pytest.mark.parametrize("heads", [6, 8, 10, 12])
def test_attention_equals_the_formula_head_by_head(heads):
    torch.manual_seed(heads)
    attention = Attention(width=512, heads=heads, head_dim=64, bias=False, out_bias=False).double()
    x = torch.randn(2, 17, 512, dtype=torch.float64)
    query, key, value = attention.qkv.weight.detach().numpy().reshape(3, heads, 64, 512)
    out = attention.out.weight.detach().numpy()
    for b in range(2):
        z = x[b].numpy()
        mixed = []
        for h in range(heads):
            scores = (z @ query[h].T) @ (z @ key[h].T).T / np.sqrt(64)
            weights = np.exp(scores - scores.max(1, keepdims=True))
            weights /= weights.sum(1, keepdims=True)
            np.testing.assert_allclose(attention.weights(x)[b, h].detach(), weights, atol=1e-12)
            mixed.append(weights @ (z @ value[h].T))
        np.testing.assert_allclose(attention(x)[b].detach(), np.concatenate(mixed, 1) @ out.T, atol=1e-10)


def test_attention_with_biases_equals_pytorchs_within_a_sequence_and_to_a_memory():
    torch.manual_seed(0)
    attention = Attention(12, heads=3).double()
    nn.init.normal_(attention.qkv.bias)
    theirs = copied(attention, nn.MultiheadAttention(12, 3, batch_first=True).double())
    x, memory = torch.randn(2, 5, 12).double(), torch.randn(2, 4, 12).double()
    torch.testing.assert_close(attention(x), theirs(x, x, x)[0])
    torch.testing.assert_close(attention(x, memory=memory), theirs(x, memory, memory)[0])


@pytest.mark.parametrize("bias", [True, False])
def test_vectors_that_are_not_seen_change_nothing(bias):
    attention, x, memory = Attention(8, 2, 3, bias=bias), torch.randn(2, 5, 8), torch.randn(2, 4, 8)
    seen = torch.tensor([[True, True, False, True], [True, False, True, True]])
    other = torch.where(seen[:, :, None], memory, 9)
    torch.testing.assert_close(attention(x, seen, memory), attention(x, seen, other))
    assert not torch.allclose(attention(x, memory=memory), attention(x, memory=other))


def test_dropout_is_for_training_only():
    attention, x = Attention(8, heads=2, dropout=0.5), torch.randn(2, 6, 8)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    torch.testing.assert_close(attention(x), attention(x))


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("cross", [False, True])
def test_a_block_is_torchs_transformer_layer(cross, norm_first):
    torch.manual_seed(0)
    block = Block(
        Attention(6, 2), mlp(6, 8, nn.ReLU()), cross=Attention(6, 2) if cross else None, norm_first=norm_first
    )
    kind = nn.TransformerDecoderLayer if cross else nn.TransformerEncoderLayer
    theirs = kind(6, 2, 8, dropout=0, batch_first=True, norm_first=norm_first)
    copied(block.attention, theirs.self_attn)
    norms = [block.attention_norm, block.mlp_norm]
    if cross:
        copied(block.cross, theirs.multihead_attn)
        norms.insert(1, block.cross_norm)
    for number, norm in enumerate(norms, 1):
        nn.init.normal_(norm.weight)
        getattr(theirs, f"norm{number}").load_state_dict(norm.state_dict())
    theirs.linear1.load_state_dict(block.mlp[0].state_dict())
    theirs.linear2.load_state_dict(block.mlp[2].state_dict())
    x, memory = torch.randn(2, 3, 6), torch.randn(2, 5, 6)
    expected = theirs(x, memory) if cross else theirs(x)
    torch.testing.assert_close(block(x, memory=memory if cross else None), expected, rtol=1e-4, atol=1e-5)
