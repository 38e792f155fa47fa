"""What an upload may cost, and the sentences of what is refused."""

from dataclasses import dataclass

from dfer.data_manifest.disk.file_types import IMAGE_SUFFIXES, VIDEO_SUFFIXES, suffix_of

PICTURE = "This is a picture; choose a video."
MOST_UPLOADS = 8  # at a time: one is answered, the others arrive or wait


class RefusedError(Exception):
    """An upload that gets no answer. The text is a sentence for the page.

    status: of the HTTP response, if that has not started yet
    """

    def __init__(self, text: str, status: int = 422) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one upload.

    mb: of its file, 1e6 bytes
    seconds: of video
    timeout: seconds that it may take to arrive, and then to be answered; waiting for its turn does not count
    """

    mb: float
    seconds: float
    timeout: float

    @property
    def bytes(self) -> int:
        return round(1e6 * self.mb)

    @property
    def too_large(self) -> str:
        return f"The file is larger than {self.mb:g} MB, the most that this server takes."

    def refuse_long(self, seconds: float) -> None:
        """Raise RefusedError for a video of this length if it is too long."""
        if seconds > self.seconds:
            raise RefusedError(
                f"The video is {seconds:.0f} s long; this server takes at most {self.seconds:g} s."
            )


def video_suffix(name: str) -> str:
    """The suffix that makes a file's name that of a video. Nothing else of the name is used on this machine.

    Raises RefusedError where there is none.
    """
    suffix = suffix_of(name.replace("\\", "/").rsplit("/", 1)[-1])
    if suffix in VIDEO_SUFFIXES:
        return suffix
    if suffix in IMAGE_SUFFIXES:
        raise RefusedError(PICTURE, 415)
    raise RefusedError("By its name this is not a video; choose one, such as a file that ends in .mp4.", 415)
