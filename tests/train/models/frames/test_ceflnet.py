import networks
import pytest
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.models.frames.ceflnet import (
    Ceflnet,
    CeflnetConfig,
    IntensityActivation,
    SnippetEncoder,
    snippet_windows,
)


def test_thirteen_million_parameters_as_printed():
    network = networks.on_meta(Ceflnet, networks.task(25, 224))
    assert networks.count(network) == pytest.approx(13e6, rel=0.03)
    # The public code's 13 968 712, without its unused layer from 2048 to 512 features.
    assert networks.count(network) == 13_968_712 - (2048 * 512 + 512)


def test_parts_have_the_shapes_of_seven_snippets_of_five_frames():
    network = networks.on_meta(Ceflnet, networks.task(25, 224)).eval()
    vectors = torch.empty(2, 25, 512, device="meta")
    snippets = network.encoder(vectors[:, network.windows])
    assert snippets.shape == (2, 7, 512)
    assert network.activation(snippets).shape == (2, 512)
    assert network.hidden(network.activation(snippets)).shape == (2, 128)


def test_windows_of_25_frames_cover_the_times_of_the_public_code():
    """There, windows of 15 of 75 frames begin every ten frames; every third frame is one of ours."""
    starts = [window[0] for window in snippet_windows(25, 7, 5)]
    assert starts == [round(10 * i / 3) for i in range(7)]


@pytest.mark.parametrize(
    ("frames", "windows"),
    [
        (35, [[*range(5 * i, 5 * i + 5)] for i in range(7)]),
        (7, [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 3, 4, 5, 6]]),
        (3, [[0, 1, 2]]),
        (1, [[0]]),
    ],
)
def test_windows_cover_clips_of_any_length(frames, windows):
    assert snippet_windows(frames, 7, 5) == windows


def test_every_parameter_learns():
    task = networks.task(6, 32)
    assert networks.without_gradient(networks.seeded(Ceflnet, task), networks.clips(task, 4)) == []


def test_frames_may_change_places_within_a_snippet_but_not_across():
    network = networks.seeded(Ceflnet, networks.task(4, 32), snippets=2, snippet_frames=2)
    given = networks.clips(networks.task(4, 32))
    plain = networks.scores(network, given)
    within = networks.scores(network, given._replace(frames=given.frames[:, [1, 0, 2, 3]]))
    across = networks.scores(network, given._replace(frames=given.frames[:, [0, 2, 1, 3]]))
    torch.testing.assert_close(within, plain)
    assert not torch.allclose(across, plain, atol=1e-4)


def test_heads_that_do_not_divide_the_features_are_refused():
    with pytest.raises(UserError, match="--heads 5: must divide 512"):
        CeflnetConfig(heads=5)


def test_a_snippet_is_the_weighted_mean_of_its_frames_next_to_the_global_vector():
    torch.manual_seed(0)
    encoder, x = (
        SnippetEncoder(8, heads=2).eval(),
        torch.randn(2, 3, 5, 8),
    )  # 2 clips of 3 snippets of 5 frames
    with torch.no_grad():
        got = encoder(x)
        for clip, snippet in ((0, 0), (1, 2)):
            frames = x[clip, snippet]
            related = encoder.norm(frames + encoder.attention(frames[None])[0])
            pairs = torch.cat([frames, related.max(0).values.expand(5, 8)], dim=1)
            weights = torch.sigmoid(encoder.weight[1](pairs))
            expected = encoder.out((pairs * weights).sum(0) / weights.sum())
            torch.testing.assert_close(got[clip, snippet], expected)


def test_snippets_are_weighed_before_their_maximum():
    activation, x = IntensityActivation(2), torch.tensor([[[4.0, 2.0], [1.0, 6.0]]])
    with torch.no_grad():
        activation.intensity.weight.copy_(torch.tensor([[0.0, torch.log(torch.tensor(3.0)) / 4]]))
        torch.testing.assert_close(activation(x), torch.tensor([[1.0, 4.5]]))  # shares of 1/4 and 3/4
