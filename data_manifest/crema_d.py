"""CREMA-D: everything is in the file name, `<actor>_<sentence>_<emotion>_<level>`, e.g. 1001_DFA_ANG_XX.flv.

91 actors, six emotions, no official split (Cao et al. 2014).
"""

import re
from collections.abc import Sequence

from data_manifest.files import FoundClip
from schemas.errors import UserError
from schemas.manifest import VIDEO

NAME = re.compile(r"(?P<actor>1\d{3})_[A-Z]{3}_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX|X)")


def fits(clips: Sequence[FoundClip]) -> bool:
    """Whether every clip is a video with a CREMA-D name."""
    return all(clip.kind == VIDEO and NAME.fullmatch(clip.path.stem) for clip in clips)


def rows(clips: Sequence[FoundClip]) -> list[dict]:
    """One manifest row a clip.

    Raises UserError for a clip whose name is not of CREMA-D's form.
    """
    return [_row(clip) for clip in clips]


def _row(clip: FoundClip) -> dict:
    match = NAME.fullmatch(clip.path.stem)
    if not match:
        raise UserError(f"{clip.path} is not a CREMA-D name (1001_DFA_ANG_XX.flv); remove it or rename it")
    return {
        "clip_id": clip.path.stem,
        "path": str(clip.path),
        "kind": clip.kind,
        "label": match["emotion"],
        "subject": match["actor"],
    }
