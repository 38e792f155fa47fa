"""A recurrent layer over the vectors of a clip's frames or segments."""

from torch import Tensor, nn

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
READOUTS = ("last", "frames")


class Recurrence(nn.Module):
    """Read T vectors of C features in order: (B, T, C) → (B, U), or (B, T · U) with the readout "frames".

    inputs: C
    units: U
    cell: "lstm" (Hochreiter and Schmidhuber 1997) or "gru" (Cho et al. 2014)
    layers: recurrent layers on top of each other
    readout: "last": the output at the last vector; "frames": those at all vectors side by side

    Weights start as PyTorch's do.
    """

    def __init__(
        self, inputs: int, units: int, *, cell: str = "lstm", layers: int = 1, readout: str = "last"
    ) -> None:
        super().__init__()
        self.cell = CELLS[cell](inputs, units, num_layers=layers, batch_first=True)
        self.readout = readout

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.cell(x)[0]  # (B, T, U)
        return outputs[:, -1] if self.readout == "last" else outputs.flatten(1)
