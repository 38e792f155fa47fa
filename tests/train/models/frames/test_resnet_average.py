import pytest

from dfer.schemas.support.errors import UserError
from dfer.train.models.frames.resnet_average import ResNetAverage, ResNetAverageConfig


@pytest.mark.parametrize(("depth", "expected"), [(18, 11_180_103), (50, 23_522_375)])
def test_parameters_are_those_of_the_resnet_with_seven_classes(bench, depth, expected):
    """torchvision's resnet18 and resnet50 with 7 classes; Sun et al. 2024 print 11 M for the first."""
    network = bench.build(ResNetAverage, depth=depth, size=224, device="meta")
    assert bench.parameters(network) == expected


def test_eleven_million_parameters_as_printed_for_mafw(bench):
    network = bench.build(ResNetAverage, classes=11, size=224, device="meta")
    assert bench.parameters(network) == pytest.approx(11e6, rel=0.03)


@pytest.mark.parametrize("depth", [18, 50])
def test_every_parameter_learns_and_scores_have_a_row_per_clip(bench, depth):
    network = bench.build(ResNetAverage, classes=5, depth=depth)
    assert bench.untrained(network, bench.clips(frames=2)) == []
    assert bench.scores(network, bench.clips(clips=1, frames=2)).shape == (1, 5)


@pytest.mark.parametrize("average", ["scores", "probabilities"])
def test_the_order_of_the_frames_does_not_matter_but_the_frames_do(bench, average):
    network, given = bench.build(ResNetAverage, average=average), bench.clips()
    assert bench.order_matters(network, given) == (False, False)
    first = given._replace(frames=given.frames[:, :1].expand_as(given.frames))
    assert not bench.scores(network, given).allclose(bench.scores(network, first), atol=1e-4)


def test_any_image_size_fits(bench):
    for size in (16, 50, 112):
        network = bench.build(ResNetAverage, size=size, device="meta")
        assert network(bench.clips(size=size, device="meta")).clip.shape == (2, 7)


def test_other_depths_are_refused():
    with pytest.raises(UserError, match="--depth 34: must be 18 or 50"):
        ResNetAverageConfig(depth=34)
