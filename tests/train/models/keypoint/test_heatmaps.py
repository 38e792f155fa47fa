import numpy as np
import pytest
import torch

from dfer.train.models.keypoint.heatmaps import features_under, gaussian_maps


def plain_map(x, y, height, width, sigma, scale):
    rows, columns = np.mgrid[:height, :width]
    distance = ((columns + 0.5) / width - x) ** 2 + ((rows + 0.5) / height - y) ** 2
    values = np.exp(-distance / (2 * sigma**2))
    return values / values.mean() if scale == "mean" else values


@pytest.mark.parametrize("scale", ["mean", "peak"])
def test_maps_are_gaussians_around_the_normalised_keypoints(scale):
    keypoints = torch.rand(3, 18, 2, dtype=torch.float64) * 1.4 - 0.2  # some of them outside the crop
    maps = gaussian_maps(keypoints, 14, 10, 0.1, scale)
    assert maps.shape == (3, 18, 14, 10)
    for b in range(3):
        for k in range(18):
            x, y = keypoints[b, k].tolist()
            np.testing.assert_allclose(maps[b, k].numpy(), plain_map(x, y, 14, 10, 0.1, scale), rtol=1e-6)


def test_a_keypoint_far_outside_the_crop_gives_a_finite_map_of_mean_one():
    maps = gaussian_maps(torch.tensor([[30.0, -8.0]]), 14, 14, 0.1)
    assert torch.isfinite(maps).all()
    torch.testing.assert_close(maps.mean(), torch.tensor(1.0))


def test_features_equal_the_mean_of_masked_copies():
    features = torch.randn(4, 32, 7, 7, dtype=torch.float64)
    maps = gaussian_maps(torch.rand(4, 18, 2, dtype=torch.float64), 7, 7, 0.1)
    masked = features[:, None] * maps[:, :, None]  # (B, K, C, h, w)
    torch.testing.assert_close(features_under(maps, features), masked.mean((3, 4)))


def test_maps_of_mean_one_keep_the_value_of_constant_features():
    maps = gaussian_maps(torch.rand(2, 18, 2), 14, 14, 0.1)
    torch.testing.assert_close(
        features_under(maps, torch.full((2, 5, 14, 14), 3.0)), torch.full((2, 18, 5), 3.0)
    )
