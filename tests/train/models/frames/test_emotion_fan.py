import networks
import torch

from dfer.train.models.frames.emotion_fan import EmotionFan, weighted_mean
from dfer.train.models.frames.frame_vectors import frame_vectors


def test_parameters_are_resnet18s_two_weights_and_the_classifier():
    """The paper prints none; its public code has as many, and a second classifier that it does not use."""
    network = networks.on_meta(EmotionFan, networks.task(4, 224))
    assert networks.count(network) == 11_176_512 + 513 + 1025 + 7 * 1025


def test_frames_are_weighed_by_both_attentions():
    network, given = networks.with_clips(EmotionFan, networks.task(4, 32))
    network.eval()
    with torch.no_grad():
        f = frame_vectors(network.backbone, given.frames)
        expected = []
        for frames in f:
            alpha = torch.sigmoid(network.self_weight.layers[1](frames))
            clip = (alpha * frames).sum(0) / alpha.sum()
            pairs = torch.stack([torch.cat([frame, clip]) for frame in frames])
            beta = torch.sigmoid(network.relation_weight.layers[1](pairs))
            expected.append(network.head((alpha * beta * pairs).sum(0) / (alpha * beta).sum()))
    torch.testing.assert_close(networks.scores(network, given), torch.stack(expected))


def test_self_attention_alone_classifies_the_clips_vector():
    network = networks.seeded(EmotionFan, networks.task(4, 32), attention="self")
    assert network.relation_weight is None
    assert network.head.weight.shape == (7, 512)
    assert networks.without_gradient(network, networks.clips(networks.task(4, 32))) == []


def test_every_parameter_learns_and_the_order_of_the_frames_does_not_matter():
    network = networks.seeded(EmotionFan, networks.task(4, 32))
    assert networks.order_matters(network, networks.clips(networks.task(4, 32))) == (False, False)
    assert networks.without_gradient(network, networks.clips(networks.task(4, 32))) == []


def test_a_frame_of_more_weight_counts_more():
    x = torch.tensor([[[0.0], [1.0]]])
    torch.testing.assert_close(weighted_mean(x, torch.tensor([[[1.0], [3.0]]])), torch.tensor([[0.75]]))
