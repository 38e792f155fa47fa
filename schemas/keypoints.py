"""Key-point sets: which of dlib's 68 landmarks they take, their regions, mirror image and graph.

Code that depends on the choice of key-points takes a `KeypointSet`, so another choice is another object.

`DLIB18` is our reading of Huang et al. 2024. The paper's text gives numbers only: 16 landmarks of brows, eyes, mouth
and nose plus two cheeks; regions of 5, 5 and 6; two points on the bridge of the nose in none. Its figures draw the
rest without listing it: the points in Fig. 3, the adjacency matrix in Fig. 2, the regions in Fig. 4(a). Our indices,
cheek centroids and edges may differ from these drawings.

dlib's landmarks are 0-based: jaw 0–16, brows 17–26, nose 27–35, eyes 36–47, mouth 48–67. 17–21 and 36–41 are on the
left of the image, which is the subject's right. Coordinates are (x, y) in pixels, with pixel centres at integers.
"""

from dataclasses import dataclass

import numpy as np

LANDMARKS = 68

# Landmark k of a mirrored image is landmark LANDMARK_FLIP[k] of the original.
LANDMARK_FLIP = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31),  # bridge of the nose
    *range(35, 30, -1),  # nostrils
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
    *(*range(54, 47, -1), *range(59, 54, -1)),  # outer lips
    *(*range(64, 59, -1), *range(67, 64, -1)),  # inner lips
)


@dataclass(frozen=True, kw_only=True)
class KeypointSet:
    """A choice of K key-points.

    name: for caches and checkpoints
    sources: K tuples of landmark indices; a key-point is the centroid of its tuple (one index: the landmark)
    labels: K descriptions; left and right are the image's
    regions: name → key-point indices; key-points in no region are part of the graph only
    flip: permutation of 0…K−1; key-point k of a mirrored image is key-point flip[k] of the original
    edges: undirected pairs of the key-point graph
    """

    name: str
    sources: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    regions: dict[str, tuple[int, ...]]
    flip: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        return len(self.sources)

    def select(self, landmarks: np.ndarray) -> np.ndarray:
        """Compute the key-points: landmarks (..., 68, 2) → (..., K, 2) float, in the same units."""
        weights = np.zeros((self.count, LANDMARKS))
        for row, indices in enumerate(self.sources):
            weights[row, list(indices)] = 1 / len(indices)
        return weights @ landmarks

    def adjacency(self) -> np.ndarray:
        """The binary, symmetric adjacency matrix with zero diagonal, (K, K) float32."""
        matrix = np.zeros((self.count, self.count), np.float32)
        for a, b in self.edges:
            matrix[a, b] = matrix[b, a] = 1
        return matrix


DLIB18 = KeypointSet(
    name="dlib18",
    sources=(
        *((i,) for i in (17, 19, 21, 36, 39)),  # 0–4 image-left brow and eye
        *((i,) for i in (26, 24, 22, 45, 42)),  # 5–9 image-right brow and eye, mirror of 0–4 in order
        *((i,) for i in (48, 51, 54, 57)),  # 10–13 mouth
        (4, 31, 36),  # 14 image-left cheek
        (12, 35, 45),  # 15 image-right cheek
        (27,),  # 16, 17 nose bridge
        (30,),
    ),
    labels=(
        *("left brow, outer end", "left brow, middle", "left brow, inner end"),
        *("left eye, outer corner", "left eye, inner corner"),
        *("right brow, outer end", "right brow, middle", "right brow, inner end"),
        *("right eye, outer corner", "right eye, inner corner"),
        *("mouth, left corner", "upper lip", "mouth, right corner", "lower lip"),
        *("left cheek", "right cheek", "nose, root", "nose, tip"),
    ),
    regions={
        "upper_image_left": (0, 1, 2, 3, 4),
        "upper_image_right": (5, 6, 7, 8, 9),
        "lower": (10, 11, 12, 13, 14, 15),
    },
    flip=(5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 12, 11, 10, 13, 15, 14, 16, 17),
    edges=(
        *((0, 1), (1, 2), (5, 6), (6, 7)),  # brows
        (2, 7),  # between the brows
        *((0, 3), (2, 4), (5, 8), (7, 9)),  # brow ends to eye corners
        *((3, 4), (8, 9)),  # eyes
        *((16, 4), (16, 9), (16, 17)),  # nose bridge
        (17, 11),  # nose to upper lip
        *((10, 11), (11, 12), (12, 13), (13, 10)),  # mouth
        *((14, 3), (14, 10), (14, 17), (15, 8), (15, 12), (15, 17)),  # cheeks
    ),
)

KEYPOINT_SETS = {keypoints.name: keypoints for keypoints in (DLIB18,)}
