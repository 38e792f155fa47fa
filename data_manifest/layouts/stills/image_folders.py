"""A folder per label of pictures, `<label>/**/image` or `<split>/<label>/**/image`: each image is a clip.

The unpacked FER2013 looks like this. A folder of images may also be the frames of one clip: if the folders' names do
not tell, `--dataset` has to.
"""

from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.find_clips import find_images, walk_clips
from dfer.data_manifest.labels import is_expression
from dfer.data_manifest.layouts.label_folders import is_label_folder, named_after_folders
from dfer.data_manifest.official_splits import SPLIT_NAMES
from dfer.data_manifest.problems import report
from dfer.data_manifest.reader import Options, Reader, Rows
from dfer.schemas.manifest import FRAME_FOLDER
from dfer.schemas.support.errors import UserError

STILLS, CLIPS, UNCLEAR = "stills", "clips", "unclear"


def read(root: Path, _: Options) -> Rows:
    """Read every image. Top folders named after splits are splits if there are two, or if one contains everything."""
    found, problems = find_images(root)
    in_folder = pl.col("path").str.contains("/", literal=True)
    loose = found.filter(~in_folder)["path"]
    if len(loose) < len(found):
        found = found.filter(in_folder)
        problems += report("extra", "images next to the label folders, left out", loose)
    return named_after_folders(root, found, problems)


def refuse_unclear(root: Path) -> None:
    """Raise UserError if images may be stills or frames."""
    kind, where = _look(root)
    if kind != UNCLEAR:
        return
    if where == ".":
        raise UserError(
            f"{root}: images without a folder; give each label (or the frames of each clip) a folder, or choose "
            "--dataset stills to read them without labels"
        )
    raise UserError(
        f"{root}: images directly in {where}, stills or the frames of a clip; choose --dataset stills (each image "
        "is a clip, its top folder the label) or --dataset folders (each folder of images is a clip)"
    )


def _look(root: Path) -> tuple[str, str]:
    """What a tree contains, STILLS, CLIPS or UNCLEAR, and a folder that shows it. Stops at the first sure clip."""
    loose, unclear, stills = "", "", ""
    for path, kind in walk_clips(root) if root.is_dir() else ():
        above, _, name = path.rpartition("/")
        if kind != FRAME_FOLDER:
            return CLIPS, path
        if path == ".":
            loose = path
        elif is_label_folder(path):
            stills = stills or path
        elif above.lower() in ("", *SPLIT_NAMES) or ("/" not in above and is_expression(name)):
            unclear = unclear or path
        else:
            return CLIPS, path
    if unclear:
        return UNCLEAR, unclear
    if stills:
        return STILLS, stills
    return (UNCLEAR, loose) if loose else (CLIPS, "")


READER = Reader(
    name="stills",
    title="a folder of pictures per label",
    fits=lambda root: _look(root)[0] == STILLS,
    read=read,
    expects=("<label>/*.jpg, or {train,val,test}/<label>/*.jpg: images, also FER2013 as unpacked",),
    protocol="its split folders, if it has them",
)
