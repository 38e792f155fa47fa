"""Turn a stored batch into network input on the device: window, mirror, resize, colour jitter, normalise.

The key-points follow every step. Frames are (B, N, 3, H, W), uint8 until they are resized or normalised;
key-points are (B, N, K, 2) pixels (x, y) with pixel centres at integers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dfer.schemas.blendshapes import FLIP
from dfer.schemas.keypoints import LANDMARK_FLIP

# ImageNet's, which every pre-trained ResNet-18 expects.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
GREY = (0.299, 0.587, 0.114)  # luma, ITU-R BT.601


def prepare(
    frames: Tensor,
    keypoints: Tensor,
    windows: Tensor,
    flips: Tensor,
    color_jitter: Tensor | None = None,
    *,
    keypoint_flip: Sequence[int] | Tensor,
    crop_fraction: float,
    image_size: int,
) -> tuple[Tensor, Tensor]:
    """Turn a stored batch into network input.

    frames: (B, N, 3, s, s) uint8
    keypoints: (B, N, K, 2) crop pixels
    windows: (B, 2) in [0, 1], x and y of the window between its extremes; on the CPU
    flips: (B,) bool, which clips to mirror; on the CPU
    color_jitter: (B, 3) factors (see `color_jitter`), None for none
    keypoint_flip: (K,) key-point k of a mirrored picture is key-point keypoint_flip[k] of the original
    crop_fraction: side of the window as a share of s; it is round(crop_fraction · s) pixels
    image_size: side of the output, pixels

    Returns (B, N, 3, image_size, image_size) float and (B, N, K, 2) normalised.
    """
    side = max(1, round(crop_fraction * frames.shape[-1]))
    corners = (windows * (frames.shape[-1] - side)).round()
    cut = []
    # Slices and one stack: on a CPU 20 times faster than one gather over the batch.
    for clip, (x, y), flipped in zip(frames, corners.int().tolist(), flips.tolist(), strict=True):
        window = clip[..., y : y + side, x : x + side]
        cut.append(window.flip(-1) if flipped else window)
    keypoints = keypoints - corners.to(keypoints).view(-1, 1, 1, 2)
    flips = flips.to(keypoints.device).view(-1, 1, 1, 1)
    keypoints = torch.where(flips, flip_keypoints(keypoints, keypoint_flip, side), keypoints)
    frames, keypoints = resize(torch.stack(cut), keypoints, image_size)
    return normalise(frames if color_jitter is None else jitter_colors(frames, color_jitter), keypoints)


def flip_keypoints(keypoints: Tensor, order: Sequence[int] | Tensor, width: int) -> Tensor:
    """Mirror key-points: x → width − 1 − x, and the two sides of the face swap.

    keypoints: (..., K, 2) pixels
    order: (K,) permutation, as `KeypointSet.flip`
    width: of the picture, pixels
    """
    mirrored = keypoints[..., torch.as_tensor(order, device=keypoints.device), :]
    return torch.stack([width - 1 - mirrored[..., 0], mirrored[..., 1]], dim=-1)


def flip_expressions(expressions: Tensor, flips: Tensor) -> Tensor:
    """Swap the sides of expression scores (B, N, 52) in clips that are mirrored, flips (B,) bool."""
    flips = flips.to(expressions.device).view(-1, 1, 1)
    return torch.where(flips, expressions[..., list(FLIP)], expressions)


def flip_landmarks(landmarks: Tensor, flips: Tensor, width: int) -> Tensor:
    """Mirror the 68 points (B, N, 68, 2) of clips with flips (B,) bool, in a crop of this width; units are pixels."""
    flips = flips.to(landmarks.device).view(-1, 1, 1, 1)
    return torch.where(flips, flip_keypoints(landmarks, LANDMARK_FLIP, width), landmarks)


def resize(frames: Tensor, keypoints: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Resize square frames (B, N, 3, s, s) to (B, N, 3, size, size), anti-aliased, and their key-points."""
    side = frames.shape[-1]
    if side == size:
        return frames, keypoints
    flat = F.interpolate(frames.flatten(0, 1).float(), (size, size), mode="bilinear", antialias=True)
    return flat.unflatten(0, frames.shape[:2]), (keypoints + 0.5) * (size / side) - 0.5


def jitter_colors(frames: Tensor, factors: Tensor) -> Tensor:
    """Change brightness, contrast (around the clip's mean grey) and saturation, the same in all frames of a clip.

    frames: (B, N, 3, H, W), 0–255
    factors: (B, 3) of brightness, contrast and saturation; 1 changes nothing

    Returns float, 0–255.
    """
    grey = frames.new_tensor(GREY, dtype=torch.float32)
    brightness, contrast, saturation = (f.float().view(-1, 1, 1) for f in factors.unbind(1))  # (B, 1, 1)
    mixing = saturation * torch.eye(3, device=frames.device) + (1 - saturation) * grey  # (B, 3, 3)
    mean = (frames.float().mean((1, 3, 4)) * grey).sum(1)  # (B,)
    offset = (brightness * (1 - contrast)).flatten() * mean  # (B,)
    changed = torch.einsum("bij,bnjhw->bnihw", brightness * contrast * mixing, frames.float())
    return (changed + offset.view(-1, 1, 1, 1, 1)).clamp_(0, 255)


def normalise(frames: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor]:
    """Normalise pixels by ImageNet's mean and deviation, key-points to (pixel + 0.5) / size; frames contiguous."""
    mean, std = (frames.new_tensor(v, dtype=torch.float32).view(3, 1, 1) * 255 for v in (MEAN, STD))
    # Decoded pixels have the channels last; that must not decide how the network computes.
    scaled = frames.to(torch.float32, copy=True, memory_format=torch.contiguous_format).sub_(mean).div_(std)
    return scaled, (keypoints + 0.5) / frames.shape[-1]
