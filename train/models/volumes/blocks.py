"""What the networks of 3D convolutions share."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


def as_volume(frames: Tensor) -> Tensor:
    """Put a clip's frames behind each other: (B, N, 3, H, W) → (B, 3, N, H, W)."""
    return frames.transpose(1, 2)


class NormedConv3d(nn.Sequential):
    """A 3D convolution without bias, and batch norm.

    kernel, stride: of time, height and width
    padding: of time, height and width; half the kernel, rounded down, if None
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Sequence[int],
        stride: Sequence[int] = (1, 1, 1),
        padding: Sequence[int] | None = None,
    ) -> None:
        padding = [size // 2 for size in kernel] if padding is None else padding
        super().__init__(
            nn.Conv3d(inputs, outputs, tuple(kernel), tuple(stride), tuple(padding), bias=False),
            nn.BatchNorm3d(outputs),
        )


def same_padding(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[int]:
    """Padding with which a kernel at this stride turns n values into ceil(n / stride), TensorFlow's `SAME`.

    size: of time, height and width

    Returns it as `F.pad` takes it: before and after, last axis first. If it is odd, the end gets more.
    """
    padding: list[int] = []
    for length, taps, step in reversed(list(zip(size, kernel, stride, strict=True))):
        missing = max(taps - (step if length % step == 0 else length % step), 0)
        padding += [missing // 2, missing - missing // 2]
    return padding


class SameMaxPool3d(nn.Module):
    """Maximum over windows with `same_padding`; the padding never wins.

    kernel, stride: of time, height and width
    """

    def __init__(self, kernel: Sequence[int], stride: Sequence[int]) -> None:
        super().__init__()
        self.kernel, self.stride = tuple(kernel), tuple(stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) → (B, C, T', H', W')."""
        padding = same_padding(x.shape[2:], self.kernel, self.stride)
        before, after = padding[::2], padding[1::2]
        if before == after:  # the pooling can pad by itself, without a copy of the map
            return F.max_pool3d(x, self.kernel, self.stride, before[::-1])
        return F.max_pool3d(F.pad(x, padding, value=-float("inf")), self.kernel, self.stride)
