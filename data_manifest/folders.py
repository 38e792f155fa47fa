"""Any tree of clips: `<label>/**/clip`, or `<split>/<label>/**/clip`. The folder's name is the label.

Clips directly in the root have no label: they can be extracted, not trained on.
"""

from collections.abc import Sequence

from data_manifest.files import FoundClip

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def rows(clips: Sequence[FoundClip]) -> list[dict]:
    """One manifest row for every clip; split folders are recognised when all top folders are such names."""
    has_splits = all(len(clip.path.parts) > 2 and clip.path.parts[0].lower() in SPLITS for clip in clips)
    return [_row(clip, has_splits) for clip in clips]


def _row(clip: FoundClip, has_splits: bool) -> dict:
    folders = clip.path.parts[:-1]
    split = SPLITS[folders[0].lower()] if has_splits else None
    labels = folders[1:] if has_splits else folders
    return {
        "clip_id": str(clip.path),
        "path": str(clip.path),
        "kind": clip.kind,
        "bytes": clip.bytes,
        "label": labels[0] if labels else None,
        "split": split,
    }
