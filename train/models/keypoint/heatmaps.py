"""Key-points to Gaussian attention maps, and the map's features under them (Eq. 2)."""

import torch
from torch import Tensor


def gaussian_maps(keypoints: Tensor, height: int, width: int, sigma: float, scale: str = "mean") -> Tensor:
    """A Gaussian map per key-point.

    keypoints: (..., K, 2), x and y normalised to the crop, (pixel + 0.5) / size; they may lie outside it.
    sigma: in shares of the crop's side.
    scale: "mean", each map has a mean of 1, so that a feature under it is a weighted average; "peak", each
    map is 1 at its key-point.
    Returns (..., K, height, width).
    """
    exponents = [
        -((_centres(size, keypoints) - keypoints[..., axis, None]) ** 2) / (2 * sigma**2)
        for axis, size in ((1, height), (0, width))
    ]
    if scale == "mean":
        # A Gaussian is separable, and a softmax is a Gaussian of mean 1/size, however far out its centre.
        rows, columns = (e.softmax(-1) * e.shape[-1] for e in exponents)  # (..., K, h), (..., K, w)
    else:
        rows, columns = (e.exp() for e in exponents)
    return rows[..., :, None] * columns[..., None, :]


def features_under(maps: Tensor, features: Tensor) -> Tensor:
    """v_k = mean over the grid of F ⊙ A_k: maps (B, K, h, w), features (B, C, h, w) → (B, K, C).

    One matrix product; the K masked copies of the features are never made.
    """
    cells = maps.shape[-2] * maps.shape[-1]
    return torch.bmm(maps.flatten(2) / cells, features.flatten(2).transpose(1, 2))


def _centres(size: int, like: Tensor) -> Tensor:
    return (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) / size
