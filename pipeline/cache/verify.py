"""`pipeline verify`: check every checksum, schema, count and cross-reference of a cache. Reads only.

First the bytes: the seal covers the single files and the commits, the commits cover their shards' files. Then the
content of the files whose bytes are right (`verify_content`, `verify_clips`): it may have been wrong before it was
written, or it may be forged, as a cache can come from anybody.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dfer.pipeline.cache import verify_clips as clips
from dfer.pipeline.cache import verify_content as content
from dfer.pipeline.cache.info import read_config
from dfer.pipeline.cache.seal import read_seal, sealed_names
from dfer.pipeline.cache.verify_content import WrongContentError
from dfer.schemas import cache as layout
from dfer.schemas.cache import (
    CLIPS_FILE,
    COMMIT_FILE,
    INFO_FILE,
    MANIFEST_FILE,
    SEAL_FILE,
    SHARD_FILES,
    SINGLE_FILES,
    CacheInfo,
)
from dfer.schemas.read_cache import (
    CacheFormatError,
    read_cache_info,
    read_clips,
    require_cache,
    require_faces,
)
from dfer.schemas.support.errors import UserError
from dfer.schemas.support.files import file_sha256


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A wrong file of a cache.

    file: relative to the cache, with forward slashes
    problem: one line
    """

    file: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The size of a sealed cache."""

    clips: int
    shards: int
    files: int


def verify(cache: Path) -> Iterator[Fault]:
    """Check a cache, and report at most one fault per file, so that no fault hides that of another file.

    Raises UserError if the folder is not a cache, has another cache format, or has tables without faces.
    """
    require_cache(cache)
    require_faces(cache)
    present = _list_files(cache)
    checks = _Checks(cache, present)
    sealed = checks.run(SEAL_FILE, _read_seal, cache, SEAL_FILE in present) or {}
    for name, sha256 in sealed.items():
        checks.run(name, _check_sealed, cache / name, sha256)
    info = checks.run(INFO_FILE, _read_info, cache)
    shards = list(range(len(sealed) - len(SINGLE_FILES))) if sealed else _committed_shards(present)
    commits, results = {}, {}
    for index in shards:
        file = COMMIT_FILE.format(index)
        commits[index] = checks.run(file, content.read_commit, cache / file, index, info)
        results[index] = _check_shard(checks, index, commits[index], info)
    if SEAL_FILE in present:  # an unfinished extraction may still have an older table
        checks.run(CLIPS_FILE, clips.check_clips, cache / CLIPS_FILE, info, commits, results)
        paths = cache / MANIFEST_FILE, cache / CLIPS_FILE
        if CLIPS_FILE not in checks.problems and info:
            checks.run(MANIFEST_FILE, clips.check_manifest, *paths, info, commits)
    yield from (Fault(file=file, problem=problem) for file, problem in checks.problems.items())
    yield from _strays(present, shards)


def count(cache: Path) -> Counts:
    """Count what is in a verified cache. Raises UserError if it is unfinished."""
    shards = len(read_seal(cache) or {}) - len(SINGLE_FILES)
    files = len(sealed_names(shards)) + 1 + shards * len(SHARD_FILES)
    return Counts(clips=len(read_clips(cache)), shards=shards, files=files)


class _Checks:
    """Runs checks and keeps the first problem of each file; later checks of that file are skipped."""

    def __init__(self, cache: Path, present: Mapping[str, bool]) -> None:
        self.cache, self._present = cache, present
        self.problems: dict[str, str] = {}

    def run(self, file: str, check: Callable[..., Any], *arguments: object) -> Any:
        """Run a check. Returns its result, or None if it failed or an earlier check of this file did."""
        if file in self.problems:
            return None
        try:
            if file != SEAL_FILE and file not in self._present:
                raise WrongContentError("missing")
            if not self._present.get(file, True):
                raise WrongContentError("not a regular file")
            return check(*arguments)
        except CacheFormatError:
            raise
        except WrongContentError as error:
            self.problems[file] = str(error)
        # Damaged bytes can make a library raise anything.
        except (Exception, pl.exceptions.PanicException) as error:
            first_line = (str(error).splitlines() or [""])[0]
            self.problems[file] = f"cannot be read ({type(error).__name__}: {first_line})"
        return None


def _read_info(cache: Path) -> CacheInfo:
    try:
        info = read_cache_info(cache)
        read_config(cache, info)
    except CacheFormatError:
        raise
    except UserError as error:
        message = str(error).removeprefix(str(cache / INFO_FILE))
        raise WrongContentError(message.lstrip(": ")) from None
    return info


def _check_shard(
    checks: _Checks, index: int, commit: content.Commit | None, info: CacheInfo | None
) -> pl.DataFrame | None:
    """Check a shard's three files. Returns its clip table if that is valid."""
    paths = {}
    for kind, name in SHARD_FILES.items():
        file = name.format(index)
        paths[kind] = file, checks.cache / file
        checks.run(file, _check_committed, checks.cache / file, commit.files[file] if commit else None)
    file, path = paths["clips"]
    results = checks.run(file, clips.read_results, path, index, commit, info)
    file, path = paths["landmarks"]
    landmarks = checks.run(file, content.read_landmarks, path, results, commit, info)
    file, path = paths["faces"]
    checks.run(file, content.check_faces, path, results, landmarks, info)
    return results


def _list_files(cache: Path) -> dict[str, bool]:
    """Map the relative name of everything in the cache but folders to whether it is a regular file."""
    found = {}
    for folder, _, names in os.walk(cache):
        for name in names:
            path = Path(folder) / name
            found[path.relative_to(cache).as_posix()] = stat.S_ISREG(path.lstat().st_mode)
    return found


def _read_seal(cache: Path, present: bool) -> dict[str, str]:
    if not present:
        raise WrongContentError("missing: the extraction is unfinished; run the same command again")
    sealed = read_seal(cache)
    if sealed is None:
        raise WrongContentError("damaged: its bytes differ from those that were written")
    return sealed


def _check_sealed(path: Path, sha256: str) -> None:
    if file_sha256(path) != sha256:
        raise WrongContentError(f"sha256 differs from the one in {SEAL_FILE}")


def _check_committed(path: Path, committed: content.CommittedFile | None) -> None:
    if committed is None:
        return
    size = path.stat().st_size
    if size != committed.bytes:
        raise WrongContentError(f"{size} bytes, but {committed.bytes} in its commit")
    if file_sha256(path) != committed.sha256:
        raise WrongContentError("sha256 differs from the one in its commit")


def _committed_shards(present: Mapping[str, bool]) -> list[int]:
    indices = {name: layout.shard_of(name) for name in present if name.startswith("commits/")}
    return sorted(index for index in indices.values() if index is not None)


def _strays(present: Mapping[str, bool], shards: list[int]) -> Iterator[Fault]:
    """Find files that do not belong to the cache. What an unfinished extraction leaves does belong to it."""
    names = [COMMIT_FILE, *SHARD_FILES.values()]
    expected = {*SINGLE_FILES, SEAL_FILE, *(name.format(i) for i in shards for name in names)}
    for name in sorted(present.keys() - expected):
        if SEAL_FILE in present or not layout.is_unfinished_file(name):
            yield Fault(file=name, problem="not part of the cache")
