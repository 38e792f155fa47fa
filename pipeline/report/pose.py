"""Head pose from 68 landmarks: three angles in closed form, accurate enough for the distribution of a dataset.

The face is assumed rigid and far away (scaled orthographic projection), with the proportions of an average head:
MediaPipe's canonical face model (Apache-2.0), vertices 33 and 263 (outer eye corners), 61 and 291 (mouth corners) and
4 (nose tip), in cm. The nose tip is in front of the plane of the eyes: turning the head moves it sideways, nodding
moves it up or down between eyes and mouth.

Compared with MediaPipe's own pose on 201 frames (the six sample clips and one portrait, all within 15° of frontal
except for roll), the median difference is 2.6° in yaw, 3.6° in pitch and 0.3° in roll. Pitch depends on the mouth
corners, so a wide smile or a long face shifts it by some degrees.
"""

import numpy as np

IMAGE_LEFT_EYE_CORNER, IMAGE_RIGHT_EYE_CORNER = 36, 45
NOSE_TIP = 30
MOUTH_CORNERS = [48, 54]

EYE_DISTANCE = 8.89  # between the outer corners
NOSE_DEPTH = 4.41  # tip in front of the eye corners
NOSE_DROP = 3.13  # tip below the eye corners, seen from the front
MOUTH_DROP = 7.01  # mouth corners below the eye corners
MOUTH_DEPTH = 1.11  # mouth corners in front of the eye corners


def head_pose(landmarks: np.ndarray) -> np.ndarray:
    """Estimate yaw, pitch and roll.

    landmarks: (..., 68, 2), x to the right, y down

    Returns (..., 3) float64 degrees, finite for finite landmarks. yaw > 0: the nose points to the image's right;
    pitch > 0: up; roll > 0: the head is turned clockwise in the image. Mirroring the image negates yaw and roll.

    With u the vector between the eye corners, v that vector turned by 90° (down the face), n and m the nose tip and
    the middle of the mouth relative to the middle of the eye corners:
    roll = ∠u,  tan yaw = EYE_DISTANCE·(n·u) / (NOSE_DEPTH·(u·u)),
    tan pitch = (NOSE_DROP·(m·v) − MOUTH_DROP·(n·v)) / (NOSE_DEPTH·(m·v) − MOUTH_DEPTH·(n·v)).
    """
    points = np.asarray(landmarks, np.float64)
    start, end = points[..., IMAGE_LEFT_EYE_CORNER, :], points[..., IMAGE_RIGHT_EYE_CORNER, :]
    across, middle = end - start, (start + end) / 2
    down = np.stack([-across[..., 1], across[..., 0]], axis=-1)
    nose = points[..., NOSE_TIP, :] - middle
    mouth = points[..., MOUTH_CORNERS, :].mean(-2) - middle
    nose_down, mouth_down = _dot(nose, down), _dot(mouth, down)
    # arctan2 of products, not a quotient: coinciding landmarks give an angle, not NaN.
    yaw = np.arctan2(EYE_DISTANCE * _dot(nose, across), NOSE_DEPTH * _dot(across, across))
    pitch = np.arctan2(
        NOSE_DROP * mouth_down - MOUTH_DROP * nose_down, NOSE_DEPTH * mouth_down - MOUTH_DEPTH * nose_down
    )
    roll = np.arctan2(across[..., 1], across[..., 0])
    return np.degrees(np.stack([yaw, pitch, roll], axis=-1))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1)
