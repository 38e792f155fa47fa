"""How fast stills are extracted, and in how many of them a face is found.

    python tests/benchmarks/stills.py FOLDER --stills 2000

FOLDER has image files, at any depth; as many as asked for are taken, spread over all. One worker extracts them, and
the time is CPU time of all processes, so that other programs on the machine matter little.
"""

import argparse
import resource
import tempfile
from pathlib import Path

import polars as pl

from dfer.data_manifest.datasets import Manifest
from dfer.data_manifest.disk.file_types import IMAGE_SUFFIXES
from dfer.pipeline.config import ExtractConfig, RunOptions
from dfer.pipeline.run.extract import extract
from dfer.schemas.manifest import IMAGE, MANIFEST_SCHEMA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stills", type=int, default=2000)
    parser.add_argument("--blendshapes", action="store_true")
    options = parser.parse_args()
    files = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    chosen = files[:: max(1, len(files) // options.stills)][: options.stills]
    config = ExtractConfig(blendshapes=options.blendshapes, shard_clips=4096)
    with tempfile.TemporaryDirectory() as folder:
        manifest = manifest_of(options.folder, chosen)
        clips = extract(manifest, Path(folder) / "cache", config, RunOptions(workers=1)).clips
    used = sum(cpu_seconds(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{len(clips)} stills, {len(clips) / used:.0f} per second of CPU time, with loading the models")
    for (status, reason), part in clips.group_by("status", "reason", maintain_order=True):
        print(f"{len(part) / len(clips):7.1%}  {status}  {reason or ''}")


def manifest_of(folder: Path, files: list[Path]) -> Manifest:
    paths = [path.relative_to(folder).as_posix() for path in files]
    table = pl.DataFrame({"clip_id": paths, "path": paths, "kind": IMAGE})
    empty = [pl.lit(None).alias(name) for name in MANIFEST_SCHEMA if name not in table.columns]
    clips = table.with_columns(empty).select(pl.col(n).cast(kind) for n, kind in MANIFEST_SCHEMA.items())
    return Manifest(dataset="stills", labels=(), clips=clips, root=folder)


def cpu_seconds(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
