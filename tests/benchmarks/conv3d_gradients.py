"""Compare the weight gradients of 3D convolutions in bfloat16 and float16 with those in float32, on the CPU.

    python tests/benchmarks/conv3d_gradients.py

A relative error near 0.003 is rounding; `train.engine.precision.check_gradients` refuses what is wrong. If all are
near it with a new version of torch, delete that check. AMD EPYC with avx512_bf16, torch 2.13.0: with 16 channels and
more, bfloat16 has errors of 0.98 to NaN where a kernel of depth 3 sees two frames, or one of depth 2 sees one.
"""

import torch
from torch import Tensor, nn

FRAMES = (1, 2, 3, 4, 8)
KERNELS = ((2, 2, 2), (3, 3, 3), (3, 1, 1), (1, 3, 3))


def weight_gradient(conv: nn.Conv3d, clips: Tensor, change: Tensor, format_: torch.dtype) -> Tensor:
    with torch.autocast("cpu", format_, enabled=format_ != torch.float32):
        found = conv(clips)
    return torch.autograd.grad(found, conv.weight, change.to(found.dtype))[0]


def main() -> None:
    print(f"torch {torch.__version__}, relative errors for {', '.join(map(str, FRAMES))} frames")
    for channels in (1, 16, 64):
        for kernel in KERNELS:
            for format_ in (torch.bfloat16, torch.float16):
                torch.manual_seed(0)
                padding = tuple(size // 2 for size in kernel)
                conv = nn.Conv3d(channels, channels, kernel, padding=padding, bias=False)
                errors = []
                for frames in FRAMES:
                    clips = torch.randn(2, channels, frames, 6, 6)
                    change = torch.randn_like(conv(clips))
                    right = weight_gradient(conv, clips, change, torch.float32)
                    wrong = weight_gradient(conv, clips, change, format_) - right
                    errors.append(f"{(wrong.norm() / right.norm()).item():9.2g}")
                print(f"{channels:3} channels, kernel {kernel}, {format_}:", *errors)


if __name__ == "__main__":
    main()
