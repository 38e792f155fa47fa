import pytest
import torch
from torch import nn

from dfer.train.models.frames.frame_vectors import averaged, frame_vectors


def test_a_frame_vector_is_the_mean_of_its_map():
    frames = torch.randn(2, 3, 3, 8, 8)
    torch.testing.assert_close(frame_vectors(nn.Identity(), frames), frames.mean((3, 4)))


def test_scores_are_averaged_as_scores_or_as_probabilities():
    scores = torch.randn(2, 5, 7)
    torch.testing.assert_close(averaged(scores, "scores"), scores.mean(1))
    torch.testing.assert_close(averaged(scores, "probabilities").exp(), scores.softmax(2).mean(1))


@pytest.mark.parametrize("average", ["scores", "probabilities"])
def test_frames_that_agree_give_their_common_prediction(average):
    scores = torch.randn(2, 1, 7)
    got = averaged(scores.expand(2, 4, 7), average).softmax(1)
    torch.testing.assert_close(got, scores[:, 0].softmax(1))
