"""Whether a cache holds: every checksum, schema, count and cross-reference. Reads only.

First the bytes: the seal vouches for the single files and the commits, the commits for their
shards' files. Then the content of those files whose bytes hold (`verify_content`), which finds what was wrong
before it was written, or made up: a cache may come from a stranger.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dfer.pipeline.cache import verify_content as content
from dfer.pipeline.cache.seal import read_seal, sealed_names
from dfer.pipeline.config import config_of
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
class Finding:
    """A file of the cache (relative to it, with forward slashes) and what is wrong with it, in one line."""

    file: str
    wrong: str


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How much a sealed cache holds."""

    clips: int
    shards: int
    files: int


def verify(cache: Path) -> Iterator[Finding]:
    """Check a whole cache: at most one finding a file, so that no fault hides another file's.

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
        checks.run(CLIPS_FILE, content.check_clips, cache / CLIPS_FILE, info, commits, results)
        paths = cache / MANIFEST_FILE, cache / CLIPS_FILE
        if CLIPS_FILE not in checks.findings and info:
            checks.run(MANIFEST_FILE, content.check_manifest, *paths, info, commits)
    yield from (Finding(file=file, wrong=wrong) for file, wrong in checks.findings.items())
    yield from _strays(present, shards)


def count(cache: Path) -> Counts:
    """Count what a cache that was verified holds. Raises UserError where it is not finished."""
    shards = len(read_seal(cache) or {}) - len(SINGLE_FILES)
    files = len(sealed_names(shards)) + 1 + shards * len(SHARD_FILES)
    return Counts(clips=len(read_clips(cache)), shards=shards, files=files)


class _Checks:
    """Runs checks; the first that fails for a file becomes its finding, and later ones are passed over."""

    def __init__(self, cache: Path, present: Mapping[str, bool]) -> None:
        self.cache, self._present = cache, present
        self.findings: dict[str, str] = {}

    def run(self, file: str, check: Callable[..., Any], *arguments: object) -> Any:
        """What the check returns; None where it, or an earlier one of this file, has failed."""
        if file in self.findings:
            return None
        try:
            if file != SEAL_FILE and file not in self._present:
                raise content.WrongContentError("it is missing")
            if not self._present.get(file, True):
                raise content.WrongContentError("it is not a regular file")
            return check(*arguments)
        except content.WrongContentError as error:
            self.findings[file] = str(error)
        except CacheFormatError:
            raise
        # Whatever a library makes of a stranger's bytes says something about those bytes.
        except (Exception, pl.exceptions.PanicException) as error:
            first_line = (str(error).splitlines() or [""])[0]
            self.findings[file] = f"it cannot be read ({type(error).__name__}: {first_line})"
        return None


def _read_info(cache: Path) -> CacheInfo:
    try:
        info = read_cache_info(cache)
        config_of(cache, info)
    except CacheFormatError:
        raise
    except UserError as error:
        message = str(error).removeprefix(str(cache / INFO_FILE))
        raise content.WrongContentError(message.lstrip(": ")) from None
    return info


def _check_shard(
    checks: _Checks, index: int, commit: content.Commit | None, info: CacheInfo | None
) -> pl.DataFrame | None:
    """Check a shard's three files; its table of clips, if that holds."""
    paths = {}
    for kind, name in SHARD_FILES.items():
        file = name.format(index)
        paths[kind] = file, checks.cache / file
        checks.run(file, _check_committed, checks.cache / file, commit.files[file] if commit else None)
    file, path = paths["clips"]
    results = checks.run(file, content.read_results, path, index, commit, info)
    file, path = paths["landmarks"]
    landmarks = checks.run(file, content.read_landmarks, path, results, commit, info)
    file, path = paths["faces"]
    checks.run(file, content.check_faces, path, results, landmarks, info)
    return results


def _list_files(cache: Path) -> dict[str, bool]:
    """Everything below the cache that is no folder: its relative name, and whether it is a regular file."""
    found = {}
    for folder, _, names in os.walk(cache):
        for name in names:
            path = Path(folder) / name
            found[path.relative_to(cache).as_posix()] = stat.S_ISREG(path.lstat().st_mode)
    return found


def _read_seal(cache: Path, present: bool) -> dict[str, str]:
    if not present:
        raise content.WrongContentError(
            "it is missing: the extraction is unfinished; run the same command again"
        )
    sealed = read_seal(cache)
    if sealed is None:
        raise content.WrongContentError("its bytes are not those that it was written with")
    return sealed


def _check_sealed(path: Path, sha256: str) -> None:
    if file_sha256(path) != sha256:
        raise content.WrongContentError(f"its sha256 is not the one in {SEAL_FILE}")


def _check_committed(path: Path, committed: content.CommittedFile | None) -> None:
    if committed is None:
        return
    size = path.stat().st_size
    if size != committed.bytes:
        raise content.WrongContentError(f"it has {size} bytes, its commit says {committed.bytes}")
    if file_sha256(path) != committed.sha256:
        raise content.WrongContentError("its sha256 is not the one in its commit")


def _committed_shards(present: Mapping[str, bool]) -> list[int]:
    indices = {name: layout.shard_of(name) for name in present if name.startswith("commits/")}
    return sorted(index for index in indices.values() if index is not None)


def _strays(present: Mapping[str, bool], shards: list[int]) -> Iterator[Finding]:
    """Files that the cache does not consist of; what an unfinished extraction leaves is none of them."""
    names = [COMMIT_FILE, *SHARD_FILES.values()]
    expected = {*SINGLE_FILES, SEAL_FILE, *(name.format(i) for i in shards for name in names)}
    for name in sorted(present.keys() - expected):
        if SEAL_FILE in present or not layout.is_unfinished_file(name):
            yield Finding(file=name, wrong="it is not part of the cache")
