"""What the rest of `train` asks the settings of any network, and what a network is built for. No torch here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dfer.schemas.support.settings import Settings

if TYPE_CHECKING:
    from dfer.schemas.keypoints import KeypointSet


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Settings):
    """Base of the settings of all networks: frozen dataclasses of `setting` fields, each of which becomes a flag."""

    @property
    def takes_landmarks(self) -> bool:
        """Whether the network takes the 68 points."""
        return False

    @property
    def takes_expressions(self) -> bool:
        """Whether the network takes MediaPipe's expression scores."""
        return False

    def settled(self, scores: bool) -> "NetworkSettings":
        """Decide what depends on the cache. scores: whether it has expression scores."""
        return self

    def without_landmarks(self) -> "NetworkSettings":
        """The settings without what landmarks and expression scores add: what stills are trained on first."""
        return self


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a network is built for.

    classes: number of classes
    num_frames: N, frames of a clip
    image_size: H and W of the frames, pixels
    keypoints: the set that the clips' key-points are of
    labels: names of the classes in order; empty where only sizes count, as in `train describe`
    """

    classes: int
    num_frames: int
    image_size: int
    keypoints: "KeypointSet"
    labels: tuple[str, ...] = ()
