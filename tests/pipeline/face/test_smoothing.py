import numpy as np

from dfer.pipeline.face.align import SIGMA_S, smooth


def plain_line_fit(values, times, segments):
    """A weighted straight line through each point's neighbourhood, by numpy's own least squares."""
    fitted = np.empty_like(values)
    for i, (t, segment) in enumerate(zip(times, segments, strict=True)):
        weights = np.exp(-((times - t) ** 2) / (2 * SIGMA_S**2)) * (segments == segment)
        root = np.sqrt(weights)
        design = np.stack([np.ones_like(times), times - t], 1) * root[:, None]
        fitted[i] = np.linalg.lstsq(design, values * root[:, None], rcond=None)[0][0]
    return fitted


def test_it_is_a_weighted_line_fit_at_every_point():
    random = np.random.default_rng(0)
    times = np.cumsum(random.uniform(0.03, 0.1, 30))
    segments = (np.arange(30) >= 17).astype(int)
    values = random.normal(size=(30, 6))
    smoothed = smooth(values.reshape(30, 3, 2), times, segments)
    np.testing.assert_allclose(smoothed.reshape(30, 6), plain_line_fit(values, times, segments), atol=1e-8)


def test_a_head_that_moves_evenly_does_not_lag():
    times = np.arange(32) / 15
    path = np.stack([40 + 300 * times, 90 - 120 * times], 1)
    np.testing.assert_allclose(smooth(path, times, np.zeros(32)), path, atol=1e-8)


def test_a_head_that_turns_back_lags_by_less_than_a_pixel_and_shakes_half_as_much():
    times = np.arange(64) / 15
    path = 100 + 20 * np.sin(2 * np.pi * times / 2)[:, None]  # 40 px to and fro in two seconds
    assert np.abs(smooth(path, times, np.zeros(64)) - path).max() < 1
    noise = np.random.default_rng(0).normal(0, 1, (64, 1))
    shake = np.diff(smooth(path + noise, times, np.zeros(64)) - smooth(path, times, np.zeros(64)), axis=0)
    assert shake.std() < 0.5 * np.diff(noise, axis=0).std()


def test_points_seconds_apart_and_single_points_keep_their_values():
    values = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(smooth(values, np.arange(5) * 3.0, np.zeros(5)), values, atol=1e-9)
    np.testing.assert_allclose(smooth(values[:1], np.zeros(1), np.zeros(1)), values[:1])


def test_nothing_is_averaged_across_segments():
    values = np.concatenate([np.zeros((10, 1)), np.full((10, 1), 100.0)])
    smoothed = smooth(values, np.arange(20) / 25, np.repeat([0, 1], 10))
    np.testing.assert_allclose(smoothed, values, atol=1e-9)
