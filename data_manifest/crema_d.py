"""CREMA-D: everything is in the file name, `<actor>_<sentence>_<emotion>_<level>`, e.g. 1001_DFA_ANG_XX.flv.

91 actors, six emotions, no official split (Cao et al. 2014).
"""

import re
from collections.abc import Sequence

from data_manifest.files import FoundClip
from schemas.manifest import VIDEO

NAME = re.compile(r"(?P<actor>1\d{3})_[A-Z]{3}_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX|X)")


def fits(clips: Sequence[FoundClip]) -> bool:
    """Whether most clips are videos with a CREMA-D name."""
    named = sum(clip.kind == VIDEO and NAME.fullmatch(clip.path.stem) is not None for clip in clips)
    return 2 * named > len(clips)


def rows(clips: Sequence[FoundClip]) -> list[dict]:
    """One manifest row a clip; one whose name is of another form has no label and keeps its path as id."""
    return [_row(clip) for clip in clips]


def _row(clip: FoundClip) -> dict:
    match = NAME.fullmatch(clip.path.stem)
    return {
        "clip_id": clip.path.stem if match else str(clip.path),
        "path": str(clip.path),
        "kind": clip.kind,
        "label": match["emotion"] if match else None,
        "subject": match["actor"] if match else None,
        "bytes": clip.bytes,
    }
