import torch

from dfer.train.models.transformers.compact_loss import compact_loss


def one_hot(*classes, of=4):
    return torch.nn.functional.one_hot(torch.tensor(classes), of).double()


def test_it_is_half_the_symmetric_divergence_of_the_other_classes_from_even_shares():
    scores = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = []
    for row, own in zip(scores, (0, 2, 3), strict=True):
        shares = torch.stack([x for c, x in enumerate(row) if c != own]).softmax(0)
        even = torch.full((3,), 1 / 3, dtype=torch.float64)
        there, back = (shares * (shares / even).log()).sum(), (even * (even / shares).log()).sum()
        expected.append((there + back) / 2)
    torch.testing.assert_close(compact_loss(scores, one_hot(0, 2, 3)), torch.stack(expected))


def test_it_is_zero_for_even_shares_whatever_the_own_class_has():
    scores = torch.tensor([[9.0, 1, 1, 1], [-9, 1, 1, 1]])
    torch.testing.assert_close(compact_loss(scores, one_hot(0, 0).float()), torch.zeros(2))


def test_it_is_zero_if_there_is_one_other_class():
    assert compact_loss(torch.randn(1, 2), one_hot(0, of=2).float()).tolist() == [0]


def test_votes_weigh_the_losses_of_their_classes():
    scores, shares = torch.randn(1, 4).double(), torch.tensor([[0.25, 0, 0.75, 0]]).double()
    first, third = (compact_loss(scores, one_hot(c)) for c in (0, 2))
    torch.testing.assert_close(compact_loss(scores, shares), 0.25 * first + 0.75 * third)


def test_gradients_are_finite_for_extreme_scores():
    scores = torch.tensor([[80.0, -80, 0, 0]], requires_grad=True)
    compact_loss(scores, one_hot(1).float()).sum().backward()
    assert scores.grad.isfinite().all()
    assert scores.grad[0, 1] == 0  # the own class
