"""Choose the frames of a clip that an extraction keeps."""

from dfer.pipeline.config import ExtractConfig


def frames_to_keep(seconds: float | None, config: ExtractConfig) -> int:
    """How many frames to keep of a clip at most.

    seconds: its length; None if unknown, such as a frame folder's: the rate is then without effect
    """
    if not config.rate or seconds is None:
        return config.frames
    return min(config.frames, max(1, round(seconds * config.rate)))


def sample_positions(frames: int, wanted: int) -> list[int]:
    """Return the frame numbers floor((k + 0.5)·frames / wanted), k = 0…wanted−1; all if frames ≤ wanted."""
    if frames <= wanted:
        return list(range(frames))
    return [(2 * k + 1) * frames // (2 * wanted) for k in range(wanted)]
