"""A recurrent layer over the vectors of a clip's frames. Shapes: B clips, N frames, C features, U units."""

from torch import Tensor, nn

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
READOUTS = ("last", "frames")


class FrameRecurrence(nn.Module):
    """Read the frames in order.

    inputs: C
    frames: N
    cell: "lstm" (Hochreiter and Schmidhuber 1997) or "gru" (Cho et al. 2014)
    units: U
    layers: recurrent layers on top of each other
    readout: "last": the output at the last frame; "frames": those at all frames side by side

    `width` is the size of what comes out: U or N · U. Weights start as PyTorch's do.
    """

    def __init__(self, inputs: int, frames: int, *, cell: str, units: int, layers: int, readout: str) -> None:
        super().__init__()
        self.cell = CELLS[cell](inputs, units, num_layers=layers, batch_first=True)
        self.readout = readout
        self.width = units if readout == "last" else frames * units

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) → (B, width)."""
        outputs = self.cell(x)[0]  # (B, N, U)
        return outputs[:, -1] if self.readout == "last" else outputs.flatten(1)
