"""What happens to a batch on the device: windows, mirroring, size, normalisation; key-points move with the pixels.

Frames are (B, N, 3, H, W) uint8 until the end, key-points (B, N, 18, 2) in pixels, pixel centres at integers.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from schemas.keypoints import DLIB18

# Of ImageNet, as every ResNet-18 that a backbone may be started from expects.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def flip(frames: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror all frames (..., H, W) and their key-points (..., 18, 2): x → W − 1 − x, sides swapped."""
    mirrored = keypoints[..., list(DLIB18.flip), :].clone()
    mirrored[..., 0] = frames.shape[-1] - 1 - mirrored[..., 0]
    return frames.flip(-1), mirrored


def crop(frames: Tensor, keypoints: Tensor, x: int, y: int, side: int) -> tuple[Tensor, Tensor]:
    """The window of `side` pixels whose corner is (x, y)."""
    return frames[..., y : y + side, x : x + side], keypoints - keypoints.new_tensor([x, y])


def resize(frames: Tensor, keypoints: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Square frames (B, N, 3, s, s) to (B, N, 3, size, size), anti-aliased, and their key-points."""
    side = frames.shape[-1]
    if side == size:
        return frames, keypoints
    flat = F.interpolate(frames.flatten(0, 1).float(), (size, size), mode="bilinear", antialias=True)
    return flat.unflatten(0, frames.shape[:2]), (keypoints + 0.5) * (size / side) - 0.5


def normalise(frames: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels to the network's scale; key-points to shares of the crop, (pixel + 0.5) / size."""
    mean = torch.tensor(MEAN, device=frames.device).view(3, 1, 1) * 255
    std = torch.tensor(STD, device=frames.device).view(3, 1, 1) * 255
    return (frames.float() - mean) / std, (keypoints + 0.5) / frames.shape[-1]


def prepare(
    frames: Tensor,
    keypoints: Tensor,
    windows: Tensor,
    flips: Tensor,
    *,
    crop_fraction: float,
    image_size: int,
) -> tuple[Tensor, Tensor]:
    """A batch as it was stored to the network's input.

    frames: (B, N, 3, s, s) uint8; keypoints: (B, N, 18, 2) crop pixels; windows: (B, 2) in [0, 1], x and y;
    flips: (B,) bool. A window has round(crop_fraction · s) pixels.
    Returns (B, N, 3, image_size, image_size) float and (B, N, 18, 2) normalised.
    """
    side = max(1, round(crop_fraction * frames.shape[-1]))
    corners = (windows * (frames.shape[-1] - side)).round().int().tolist()
    seen = []
    for b, (x, y) in enumerate(corners):
        one = crop(frames[b], keypoints[b], x, y, side)
        seen.append(flip(*one) if flips[b] else one)
    frames, keypoints = (torch.stack(parts) for parts in zip(*seen, strict=True))
    return normalise(*resize(frames, keypoints, image_size))
