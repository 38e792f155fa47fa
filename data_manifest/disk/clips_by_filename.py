"""Datasets that say everything in the names of their files."""

import re
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.find_clips import find_clips, first_clips
from dfer.data_manifest.official_splits import PARTS
from dfer.data_manifest.problems import EXAMPLES, Problem, problem
from dfer.schemas.support.errors import UserError

LOOKED_AT = 100  # clips, to recognise a dataset


def mostly_named(root: Path, form: str) -> bool:
    """Whether most of the first clips have names (without suffix) of this form."""
    stems = [Path(path).stem for path in first_clips(root, LOOKED_AT)]
    return 2 * sum(re.fullmatch(form, stem) is not None for stem in stems) > len(stems)


def clips_by_name(
    root: Path, form: str, example: str, prefer: str = ""
) -> tuple[pl.DataFrame, list[Problem]]:
    """All clips below a folder, with `stem`, `known` (whether its name is of the form), and the form's named groups
    as columns, null where it is not. Of several clips with one such name one is kept, that in a folder named `prefer`
    or else the first.

    Raises UserError where there are clips and none is named so. example: such a name.
    """
    found, problems = find_clips(root)
    stem = pl.col("path").str.extract(r"([^/]+?)(?:\.[^./]+)?$", 1)
    clips = found.with_columns(stem=stem, known=stem.str.contains(form))
    strange = clips.filter(~pl.col("known"))["path"]
    if len(strange) and len(strange) == len(clips):
        raise UserError(
            f"{root}: no clip has a name like {example} ({strange[0]} has not); give another folder"
        )
    text = f"clips have no name like {example}, and so no label"
    problems += [*problem("unknown name", text, strange), *_sorted_otherwise(clips["path"])]
    clips, copies = _one_of_a_name(clips, prefer)
    fields = clips.with_columns(stem.str.extract_groups(form).alias("fields")).unnest("fields")
    return fields, [*problems, *copies]


def _one_of_a_name(clips: pl.DataFrame, prefer: str) -> tuple[pl.DataFrame, list[Problem]]:
    """Converted or twice unpacked datasets have each clip again in another folder."""
    inside = pl.col("path").str.to_lowercase().str.contains(f"(?:^|/){prefer.lower()}/")
    ordered = clips.sort(~inside if prefer else "path", "path").with_row_index()
    is_copy = pl.col("known") & (pl.col("index") != pl.col("index").min().over("stem"))
    copies, kept = ordered.filter(is_copy), ordered.filter(~is_copy)
    taken = kept.filter("known").join(copies, on="stem", how="semi")
    folders = taken["path"].str.extract(r"^(.*)/", 1).fill_null("the top folder").unique().sort()
    text = f"clips have the name of one in {', '.join(folders[:EXAMPLES])}{', …' * (len(folders) > EXAMPLES)}"
    told = problem("duplicate", f"{text}, which is taken; they are left out", copies["path"])
    return kept.drop("index").sort("path"), told


def _sorted_otherwise(paths: pl.Series) -> list[Problem]:
    """Clips in folders with names of different splits: somebody has sorted them, and this reader does not look."""
    folder = pl.col("path").str.split("/").list.slice(0, pl.col("path").str.count_matches("/"))
    names = paths.to_frame("path").with_columns(folder=folder).explode("folder")
    named = names.filter(pl.col("folder").str.to_lowercase().is_in(list(PARTS)))
    splits = named["folder"].unique().sort()
    if len(splits) < 2:
        return []
    text = f"clips are in folders named {', '.join(splits)}, which are not read; --dataset folders reads them"
    return problem("folders", text, named["path"].unique(maintain_order=True))
