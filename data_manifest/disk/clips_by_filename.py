"""Clips whose file names state the label and more: take the names apart, leave out copies."""

import re
from pathlib import Path

import polars as pl

from dfer.data_manifest.disk.find_clips import find_clips, first_clips
from dfer.data_manifest.official_splits import SPLIT_NAMES
from dfer.data_manifest.problems import EXAMPLES, Problem, report
from dfer.schemas.support.errors import UserError

LOOKED_AT = 100  # clips, to recognise a dataset


def mostly_named(root: Path, form: str) -> bool:
    """Whether most of the first clips have names (without suffix) that match a regular expression."""
    stems = [Path(path).stem for path in first_clips(root, LOOKED_AT)]
    return 2 * sum(re.fullmatch(form, stem) is not None for stem in stems) > len(stems)


def clips_by_filename(
    root: Path, form: str, example: str, preferred: str = ""
) -> tuple[pl.DataFrame, list[Problem]]:
    """Find all clips below a folder and take their names apart.

    form: regular expression of a name without suffix; its named groups become columns, null if it does not match
    example: such a name, for messages
    preferred: folder whose file is kept when several clips have the same name [default: the first]

    Returns the clips with `stem` (name without suffix), `known` (whether it matches) and the groups.
    Raises UserError if there are clips and no name matches.
    """
    found, problems = find_clips(root)
    stem = pl.col("path").str.extract(r"([^/]+?)(?:\.[^./]+)?$", 1)
    clips = found.with_columns(stem=stem, known=stem.str.contains(form))
    unknown = clips.filter(~pl.col("known"))["path"]
    if len(unknown) and len(unknown) == len(clips):
        raise UserError(
            f"{root}: no clip has a name like {example} (found {unknown[0]}); give another folder"
        )
    text = f"clips without a name like {example}, so without a label"
    problems += [*report("unknown name", text, unknown), *_split_folders(clips["path"])]
    clips, copies = _one_per_name(clips, preferred)
    fields = clips.with_columns(stem.str.extract_groups(form).alias("fields")).unnest("fields")
    return fields, [*problems, *copies]


def _one_per_name(clips: pl.DataFrame, preferred: str) -> tuple[pl.DataFrame, list[Problem]]:
    """Leave out copies: converted or twice unpacked datasets have each clip again in another folder."""
    inside = pl.col("path").str.to_lowercase().str.contains(f"(?:^|/){preferred.lower()}/")
    ordered = clips.sort(~inside if preferred else "path", "path").with_row_index()
    is_copy = pl.col("known") & (pl.col("index") != pl.col("index").min().over("stem"))
    copies, kept = ordered.filter(is_copy), ordered.filter(~is_copy)
    originals = kept.filter("known").join(copies, on="stem", how="semi")
    folders = originals["path"].str.extract(r"^(.*)/", 1).fill_null("the top folder").unique().sort()
    more = ", …" if len(folders) > EXAMPLES else ""
    text = f"copies of clips in {', '.join(folders[:EXAMPLES])}{more}, left out"
    return kept.drop("index").sort("path"), report("duplicate", text, copies["path"])


def _split_folders(paths: pl.Series) -> list[Problem]:
    """Report folders named after splits: someone has sorted the clips, and this reader ignores that."""
    folder = pl.col("path").str.split("/").list.slice(0, pl.col("path").str.count_matches("/"))
    folders = paths.to_frame("path").with_columns(folder=folder).explode("folder")
    named = folders.filter(pl.col("folder").str.to_lowercase().is_in(list(SPLIT_NAMES)))
    splits = named["folder"].unique().sort()
    if len(splits) < 2:
        return []
    text = f"clips in folders named {', '.join(splits)}, not used as splits (--dataset folders uses them)"
    return report("folders", text, named["path"].unique(maintain_order=True))
