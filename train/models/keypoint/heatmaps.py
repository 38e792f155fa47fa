"""Gaussian attention maps around the key-points, and the features under them (Eq. 2)."""

import torch
from torch import Tensor


def gaussian_maps(keypoints: Tensor, height: int, width: int, sigma: float, scale: str = "mean") -> Tensor:
    """Draw a Gaussian map per key-point.

    keypoints: (..., K, 2) x and y normalised to the crop, (pixel + 0.5) / size; may be outside 0–1
    height, width: of the maps, cells
    sigma: as a fraction of the crop's side; the paper prints none
    scale: "mean" scales each map to a mean of 1, so the features under it are a weighted average; "peak" makes it 1
        at its key-point, the literal reading of the paper, which makes the features some 20 times smaller

    Returns (..., K, height, width).
    """
    exponents = [
        -((_centres(size, keypoints) - keypoints[..., axis, None]) ** 2) / (2 * sigma**2)
        for axis, size in ((1, height), (0, width))
    ]
    if scale == "mean":
        # A Gaussian is separable. A softmax over the cells normalises it even when its centre is far outside.
        rows, columns = (e.softmax(-1) * e.shape[-1] for e in exponents)  # (..., K, h), (..., K, w)
    else:
        rows, columns = (e.exp() for e in exponents)
    return rows[..., :, None] * columns[..., None, :]  # (..., K, h, w)


def features_under(maps: Tensor, features: Tensor) -> Tensor:
    """Average the features under each map, v_k = mean of F ⊙ A_k (Eq. 2).

    maps (B, K, h, w), features (B, C, h, w) → (B, K, C). One matrix product replaces K masked copies of the features.
    """
    cells = maps.shape[-2] * maps.shape[-1]
    return torch.bmm(maps.flatten(2) / cells, features.flatten(2).transpose(1, 2))  # (B, K, C)


def _centres(size: int, like: Tensor) -> Tensor:
    """Normalised centres of `size` cells, (size,)."""
    return (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) / size
