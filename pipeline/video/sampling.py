"""Choose the frames of a clip that an extraction keeps."""


def sample_positions(frames: int, wanted: int) -> list[int]:
    """Return the frame numbers floor((k + 0.5)·frames / wanted), k = 0…wanted−1; all if frames ≤ wanted."""
    if frames <= wanted:
        return list(range(frames))
    return [(2 * k + 1) * frames // (2 * wanted) for k in range(wanted)]
