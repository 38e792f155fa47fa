"""What `pipeline manifest --out` writes is read like the dataset itself, from any folder."""

import shutil

import polars as pl
import pytest
import trees

from dfer.data_manifest.datasets import read_manifest

BUILDERS = {
    "dfew": trees.build_dfew,
    "ferv39k": trees.build_ferv39k,
    "crema-d": trees.build_crema_d,
    "folders": trees.build_folders,
}


def refused(outcome):
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 1
    return line


@pytest.fixture
def written(here, root, video, tmp_path):
    """A manifest in a folder of its own, with the clips in another one."""
    trees.build_crema_d(root, [video])
    file = tmp_path / "lists" / "manifest.parquet"
    file.parent.mkdir()
    outcome = here("pipeline", "manifest", root, "--out", file)
    assert outcome.returncode == 0, outcome.stderr
    return file


@pytest.mark.parametrize("name", BUILDERS)
def test_a_written_manifest_is_the_dataset(here, root, frames, video, tmp_path, name):
    BUILDERS[name](root, [video] if name == "crema-d" else [frames])
    file = tmp_path / "manifest.parquet"
    assert here("pipeline", "manifest", root, "--out", file).returncode == 0
    from_folder, from_file = read_manifest(root), read_manifest(file)
    assert from_file.clips.equals(from_folder.clips)
    for field in ("dataset", "labels", "root", "face_crops"):
        assert getattr(from_file, field) == getattr(from_folder, field), field


def test_it_is_read_from_any_folder_and_moves_with_its_clips(here, written, root, tmp_path, monkeypatch):
    monkeypatch.chdir(written.parent)
    assert "12 clips of crema-d" in here("pipeline", "manifest", "manifest.parquet").stdout
    moved = tmp_path / "moved"
    moved.mkdir()
    for folder in (written.parent, root):
        shutil.move(folder, moved / folder.name)
    monkeypatch.chdir("/")
    shown = here("pipeline", "manifest", moved / "lists" / "manifest.parquet").stdout
    assert "on disk: 12 videos" in shown and "missing" not in shown
    assert str(tmp_path) not in str(pl.read_parquet_metadata(moved / "lists" / "manifest.parquet"))


def test_moved_without_its_clips_it_says_where_they_were(here, written, root, tmp_path):
    root.rename(tmp_path / "elsewhere")
    line = refused(here("pipeline", "extract", written, "--out", tmp_path / "cache"))
    assert f"the folder of its clips, {root}, is not there; move both together" in line


def test_clips_that_went_missing_since_are_reported(here, written, root):
    next(root.rglob("*.flv")).unlink()
    assert "listed but not on disk: 1 of 12" in here("pipeline", "manifest", written).stdout


def test_the_user_s_name_wins_over_the_stored_one(here, written):
    assert (
        here("pipeline", "manifest", written, "--name", "mine").stdout.lstrip().startswith("12 clips of mine")
    )


@pytest.mark.parametrize(
    "change",
    [
        pl.lit("test ").alias("split"),
        pl.lit(None, pl.String).alias("clip_id"),
        ("../" + pl.col("path")).alias("path"),
        ("/" + pl.col("path")).alias("path"),
        pl.lit("1").alias("fold"),
    ],
)
def test_a_changed_manifest_is_refused(here, written, change):
    metadata = pl.read_parquet_metadata(written)
    table = pl.read_parquet(written).with_columns(change)
    table.write_parquet(written, metadata={"dfer-manifest": metadata["dfer-manifest"]})
    assert "changed after `pipeline manifest` wrote it" in refused(here("pipeline", "manifest", written))


def test_it_replaces_a_manifest_of_the_same_folder_and_nothing_else(here, written, root, tmp_path):
    assert here("pipeline", "manifest", root, "--out", written).returncode == 0
    others = tmp_path / "others"
    trees.build_crema_d(others, [next(root.rglob("*.flv"))])
    table = tmp_path / "mine.parquet"
    pl.DataFrame({"path": ["a.mp4"], "label": ["x"]}).write_parquet(table)
    for source, out in ((others, written), (root, table)):
        before = out.read_bytes()
        line = refused(here("pipeline", "manifest", source, "--out", out))
        assert "exists and is not a manifest of these clips" in line and out.read_bytes() == before
