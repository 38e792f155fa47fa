import networks
import pytest

from dfer.schemas.support.errors import UserError
from dfer.train.models.frames.resnet_average import ResNetAverage, ResNetAverageConfig


@pytest.mark.parametrize(("depth", "expected"), [(18, 11_180_103), (50, 23_522_375)])
def test_parameters_are_those_of_the_resnet_with_seven_classes(depth, expected):
    """torchvision's resnet18 and resnet50 with 7 classes; Sun et al. 2024 print 11 M for the first."""
    network = networks.on_meta(ResNetAverage, networks.task(4, 224), depth=depth)
    assert networks.count(network) == expected


def test_eleven_million_parameters_as_printed_for_mafw():
    network = networks.on_meta(ResNetAverage, networks.task(4, 224, 11))
    assert networks.count(network) == pytest.approx(11e6, rel=0.03)


@pytest.mark.parametrize("depth", [18, 50])
def test_every_parameter_learns_and_scores_have_a_row_per_clip(depth):
    network = networks.seeded(ResNetAverage, networks.task(4, 32, 5), depth=depth)
    assert networks.without_gradient(network, networks.clips(networks.task(2, 32))) == []
    assert networks.scores(network, networks.clips(networks.task(2, 32), 1)).shape == (1, 5)


@pytest.mark.parametrize("average", ["scores", "probabilities"])
def test_the_order_of_the_frames_does_not_matter_but_the_frames_do(average):
    network, given = networks.with_clips(ResNetAverage, networks.task(4, 32), average=average)
    assert networks.order_matters(network, given) == (False, False)
    first = given._replace(frames=given.frames[:, :1].expand_as(given.frames))
    assert not networks.scores(network, given).allclose(networks.scores(network, first), atol=1e-4)


def test_any_image_size_fits():
    for size in (16, 50, 112):
        network = networks.on_meta(ResNetAverage, networks.task(4, size))
        assert network(networks.clips(networks.task(4, size), device="meta")).clip.shape == (2, 7)


def test_other_depths_are_refused():
    with pytest.raises(UserError, match="--depth 34: must be 18 or 50"):
        ResNetAverageConfig(depth=34)
