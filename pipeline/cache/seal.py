"""The seal of a finished cache, so that every byte of it is covered by a checksum.

A commit has the sha256 of its shard's files. `seal.json` has those of the commits, of `cache.json`,
`manifest.parquet` and `clips.parquet`, and its own. It is written last and removed before anything changes.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from dfer.schemas.cache import COMMIT_FILE, SEAL_FILE, SINGLE_FILES
from dfer.schemas.support.files import file_sha256, remove_durably, write_atomic


def sealed_names(shards: int) -> list[str]:
    """List the files that the seal of a cache with this many shards covers, relative to the cache."""
    return [*SINGLE_FILES, *(COMMIT_FILE.format(index) for index in range(shards))]


def write_seal(cache: Path, shards: int) -> None:
    """Seal a cache whose other files are all written. Raises OSError."""
    files = {name: file_sha256(cache / name) for name in sealed_names(shards)}
    write_atomic(cache / SEAL_FILE, _encode(files))


def remove_seal(cache: Path) -> None:
    """Remove the seal. Call this before a file of the cache changes: an old seal must not cover a new file."""
    remove_durably(cache / SEAL_FILE)


def read_seal(cache: Path) -> dict[str, str] | None:
    """Read the seal, name → sha256; None if it is missing or differs from what `write_seal` writes in any byte."""
    try:
        found = (cache / SEAL_FILE).read_bytes()
        files = json.loads(found)["files"]
        known = sorted(files) == sorted(sealed_names(len(files) - len(SINGLE_FILES)))
        return files if known and found == _encode(files) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _encode(files: dict[str, Any]) -> bytes:
    own = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return (json.dumps({"files": files, "sha256": own}, indent=2, sort_keys=True) + "\n").encode()
