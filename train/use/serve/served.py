"""What answers the videos of `train serve`."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Served:
    """What answers: arguments of `load`, and of `Predictor.predict`."""

    run: str
    checkpoint: str = "last"
    device: str = "auto"
    frames_show: str | None = None
    people: int | str = 1
