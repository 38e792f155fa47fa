import torch

from dfer.train.models.frames.attention import SelfAttention


def test_attention_equals_pytorchs():
    torch.manual_seed(0)
    attention = SelfAttention(12, heads=3).double()
    other = torch.nn.MultiheadAttention(12, 3, batch_first=True).double()
    other.load_state_dict(
        {
            "in_proj_weight": attention.qkv.weight,
            "in_proj_bias": attention.qkv.bias,
            "out_proj.weight": attention.out.weight,
            "out_proj.bias": attention.out.bias,
        }
    )
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    torch.testing.assert_close(attention(x), other(x, x, x)[0])


def test_dropout_is_for_training_only():
    attention, x = SelfAttention(8, heads=2, dropout=0.5), torch.randn(2, 6, 8)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    torch.testing.assert_close(attention(x), attention(x))
