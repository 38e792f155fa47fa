import torch
from torch.nn import functional as F

from dfer.schemas.keypoints import DLIB18
from dfer.train.data import augment
from dfer.train.models.keypoint.heatmaps import gaussian_maps


def flip(batch):
    """Mirror all clips of a batch: frames and key-points."""
    width = batch.frames.shape[-1]
    return batch.frames.flip(-1), augment.flip_keypoints(batch.keypoints, batch.keypoint_flip, width)


def test_maps_of_mirrored_keypoints_are_mirrored_maps_with_swapped_channels(stored_batch):
    frames, keypoints = stored_batch.frames, stored_batch.keypoints  # real crops and their points
    _, plain = augment.normalise(frames, keypoints)
    mirrored_frames, mirrored = augment.normalise(*flip(stored_batch))
    for scale in ("mean", "peak"):
        expected = gaussian_maps(plain, 14, 14, 0.1, scale).flip(-1)[:, :, list(DLIB18.flip)]
        torch.testing.assert_close(
            gaussian_maps(mirrored, 14, 14, 0.1, scale), expected, rtol=1e-4, atol=1e-5
        )
    torch.testing.assert_close(mirrored_frames, augment.normalise(frames, keypoints)[0].flip(-1))
    assert not torch.allclose(plain, mirrored)


def test_flipping_twice_changes_nothing(stored_batch):
    frames, keypoints = flip(stored_batch)
    frames, keypoints = flip(stored_batch._replace(frames=frames, keypoints=keypoints))
    assert torch.equal(frames, stored_batch.frames)
    torch.testing.assert_close(keypoints, stored_batch.keypoints)


def test_a_mirrored_face_has_its_image_left_points_on_the_image_left(stored_batch):
    _, keypoints = flip(stored_batch)
    assert (keypoints[..., 0:5, 0].mean(-1) < keypoints[..., 5:10, 0].mean(-1)).all()
    assert (keypoints[..., 10, 0] < keypoints[..., 12, 0]).all()


def spot_of(frame):
    """Centre of mass (x, y) of the only bright spot of a frame (3, H, W)."""
    weight = frame.double().sum(0)
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in weight.shape), indexing="ij")
    return torch.stack([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


def test_keypoints_move_with_the_pixels_through_window_flip_and_size():
    # A soft spot is drawn at key-point 0; after all steps it must be where key-point 0 is then.
    place = torch.tensor([70.0, 52.0])
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    spot = 255 * torch.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * 6.0**2))
    frames = spot.round().to(torch.uint8).expand(2, 1, 3, 128, 128)
    keypoints = torch.zeros(2, 1, 18, 2)
    keypoints[:, :, [0, DLIB18.flip[0]]] = place
    for size in (112, 64, 150):
        seen, points = augment.prepare(
            frames,
            keypoints,
            torch.tensor([[0.0, 0.3], [0.9, 1.0]], dtype=torch.float64),
            torch.tensor([False, True]),
            keypoint_flip=DLIB18.flip,
            crop_fraction=0.875,
            image_size=size,
        )
        assert seen.shape == (2, 1, 3, size, size)
        black = augment.normalise(torch.zeros(1, 1, 3, 1, 1, dtype=torch.uint8), keypoints)[0][0, 0]
        for b in range(2):
            torch.testing.assert_close(
                spot_of(seen[b, 0] - black).float() + 0.5, points[b, 0, 0] * size, rtol=0, atol=0.02
            )


def test_normalise_uses_the_mean_and_deviation_of_imagenet():
    frames = torch.randint(0, 256, (1, 2, 3, 4, 4), dtype=torch.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (frames / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    torch.testing.assert_close(augment.normalise(frames, torch.zeros(1, 2, 18, 2))[0], expected)


def test_resize_is_antialiased():
    stripes = torch.zeros(1, 1, 3, 128, 128, dtype=torch.uint8)
    stripes[..., ::2] = 255
    small, _ = augment.resize(stripes, torch.zeros(1, 1, 18, 2), 32)
    assert small[..., 2:-2].std() < 2 and F.relu(small - 140).max() == 0


def test_factors_of_one_change_no_colour_and_others_change_brightness_contrast_and_saturation(stored_batch):
    frames = stored_batch.frames
    one = torch.ones(6, 3)
    torch.testing.assert_close(augment.jitter_colors(frames, one), frames.float(), rtol=0, atol=1e-3)
    dark, flat, grey = (
        augment.jitter_colors(frames, one * torch.tensor(f)) for f in ((0.5, 1, 1), (1, 0.5, 1), (1, 1, 0))
    )
    torch.testing.assert_close(dark, frames * 0.5)
    luma = (frames.float().mean((1, 3, 4)) @ torch.tensor([0.299, 0.587, 0.114])).view(6, 1, 1, 1, 1)
    torch.testing.assert_close(flat, 0.5 * frames + 0.5 * luma)
    assert (grey.std(2) < 1e-3).all()


def test_factors_apply_to_all_frames_of_one_clip(stored_batch):
    colours = torch.tensor([[1.2, 0.8, 1.3], *[[1.0, 1.0, 1.0]] * 5])
    changed = augment.jitter_colors(stored_batch.frames, colours)
    torch.testing.assert_close(changed[1:], stored_batch.frames[1:].float(), rtol=0, atol=1e-3)
    still = stored_batch.frames[:1, :1].expand(1, 4, -1, -1, -1)
    (frames,) = augment.jitter_colors(still, colours[:1])
    assert torch.equal(frames[0], frames[3]) and not torch.equal(frames[0], still[0, 0].float())
