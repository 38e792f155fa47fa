import pytest
import trees
from still_trees import FERPLUS_HEADER, FERPLUS_VOTES, build_fer2013, build_ferplus

from dfer.data_manifest.datasets import read_manifest
from dfer.data_manifest.layouts.stills.ferplus import CLASSES, WRITTEN
from dfer.schemas.manifest import IMAGE, MISSING
from dfer.schemas.support.errors import UserError

REMOVED = "rows without an image name of their own, pictures that FER+ removed, left out: 1 of 20 (line 4)"
TIED = "clips without a label: most votes are shared by several answers: 2 of 19 (fer0000008, fer0000018)"
UNKNOWN = "clips without a label: most votes are for unknown or not a face: 2 of 19 (fer0000009, fer0000019)"


def refusal(root):
    with pytest.raises(UserError) as error:
        read_manifest(root, "ferplus")
    return str(error.value).removeprefix(f"{root}/")


def change_line(file, number, change):
    lines = file.read_text().split("\n")
    lines[number - 1] = change(lines[number - 1])
    file.write_text("\n".join(lines))


@pytest.mark.parametrize("how", ["rows", "list", "parts", "parts in data"])
def test_votes_and_the_class_with_most_of_them_are_read(root, how):
    ids = build_ferplus(root / "data" if how == "parts in data" else root, [], how.split()[0])
    manifest = read_manifest(root)
    clips = manifest.clips
    assert manifest.dataset == "ferplus" and manifest.labels == CLASSES == tuple(sorted(WRITTEN[:8]))
    assert (
        clips["clip_id"].to_list() == ids
        and set(clips["kind"]) == {IMAGE}
        and clips["bytes"].null_count() == 0
    )
    numbers = [int(name[3:]) for name in ids]
    for number, label, votes in zip(numbers, clips["label"], clips["votes"], strict=True):
        written = dict(zip(WRITTEN, FERPLUS_VOTES[number % 10], strict=True))
        assert votes.to_list() == [written[name] for name in CLASSES]
        assert label == (WRITTEN[number % 10] if number % 10 < 8 else None)
    assert clips["split"].to_list() == [
        "train" if k < 14 else "val" if k % 2 == 0 else "test" for k in numbers
    ]
    problems = [TIED, UNKNOWN] if "parts" in how else [REMOVED, TIED, UNKNOWN]
    assert [problem.line for problem in manifest.problems] == problems
    start = {"rows": "fer2013.csv/", "parts in data": "data/FER2013Train/"}.get(how, "FER2013Train/")
    assert clips["path"].to_list()[0].startswith(start) and len(clips["path"].unique()) == 19


def test_row_k_of_the_votes_is_row_k_of_the_pixels(root):
    build_ferplus(root, [])
    rows = dict(read_manifest(root).clips.select("clip_id", "path").iter_rows())
    assert rows["fer0000001"] == "fer2013.csv/000001" and rows["fer0000003"] == "fer2013.csv/000003"


def test_a_picture_nobody_gave_a_class_has_no_votes(root):
    build_ferplus(root, [], "parts", removed=())
    file = root / "FER2013Train" / "label.csv"
    change_line(file, 1, lambda line: line[: line.index(")")] + ')",0,0,0,0,0,0,0,0,4,6')
    manifest = read_manifest(root)
    assert manifest.clips.select("label", "votes").row(0) == (None, None)
    assert manifest.problems[1].examples == ("fer0000000", "fer0000009", "fer0000019")


@pytest.mark.parametrize("how", ["rows", "list"])
def test_a_removed_picture_with_the_name_of_another_is_left_out(root, how):
    build_ferplus(root, [], how)
    change_line(root / "fer2013new.csv", 9, lambda line: "Training,fer0000001.png,0,0,0,0,0,0,0,0,0,10")
    manifest = read_manifest(root)
    assert len(manifest.clips) == 18
    assert manifest.clips.filter(clip_id="fer0000001")["label"].item() == "happiness"
    assert manifest.problems[0].count == 2 and manifest.problems[0].examples == ("line 4", "line 9")


def test_a_picture_with_two_rows_of_votes_is_refused(root):
    build_ferplus(root, [], "list")
    change_line(root / "fer2013new.csv", 9, lambda line: line.replace("fer0000007", "fer0000001"))
    assert "clip fer0000001 has label happiness and label contempt" in refusal(root)


def test_a_part_without_its_list_is_refused_by_the_name_of_that_list(root):
    build_ferplus(root, [], "parts")
    (root / "FER2013Valid" / "label.csv").unlink()
    assert refusal(root) == "FER2013Valid/label.csv: no such file; the dataset is incomplete without it"


def test_missing_pictures_and_pictures_in_no_list_are_reported(root):
    build_ferplus(root, [], "parts")
    (root / "FER2013Train" / "fer0000005.png").unlink()
    trees.write_files(root, "FER2013Valid/extra.png")
    manifest = read_manifest(root)
    assert manifest.clips.filter(kind=MISSING)["clip_id"].to_list() == ["fer0000005"]
    assert [p.line for p in manifest.problems if p.kind in ("missing", "extra")] == [
        "listed but not on disk: 1 of 19 (FER2013Train/fer0000005.png)",
        "on disk but in no list, left out: 1 (FER2013Valid/extra.png)",
    ]


def test_a_wrong_number_of_votes_is_refused_with_its_line(root):
    build_ferplus(root, [], "parts")
    change_line(root / "FER2013Test" / "label.csv", 2, lambda line: line + ",1")
    message = refusal(root)
    assert message.startswith(
        'FER2013Test/label.csv, line 2: expected a line like \'fer0000000.png,"(0, 0, 48, 48)"'
    )
    assert message.endswith("fix or remove it")


def test_a_list_with_other_columns_is_refused_and_one_without_header_is_read(root):
    build_ferplus(root, [])
    file = root / "fer2013new.csv"
    text = file.read_text()
    file.write_text(text.replace(FERPLUS_HEADER, FERPLUS_HEADER.replace("anger,disgust", "disgust,anger")))
    assert refusal(root).startswith(
        "fer2013new.csv, line 1: expected a line like 'Training,fer0000000.png,4,0,"
    )
    file.write_text(text.removeprefix(f"{FERPLUS_HEADER}\n"))
    assert len(read_manifest(root).clips) == 19


def test_lists_that_do_not_belong_together_are_refused(root):
    build_ferplus(root, [])
    build_fer2013(root, [], 19)
    assert refusal(root).startswith(f"fer2013new.csv has 20 rows and {root}/fer2013.csv has 19; they must")
    build_fer2013(root, [], 20)
    change_line(root / "fer2013new.csv", 3, lambda line: line.replace("Training", "PublicTest"))
    assert refusal(root).startswith("fer2013new.csv, line 3: another Usage than the same row of ")


def test_votes_without_pictures_are_refused(root):
    build_ferplus(root, [])
    (root / "fer2013.csv").unlink()
    (root / "FER2013Train").mkdir()
    assert "the votes of FER+, but no pictures; put fer2013.csv next to fer2013new.csv, or" in refusal(root)


def test_a_folder_without_votes_is_not_ferplus(root):
    trees.write_files(root, "sad/a.jpg")
    assert refusal(root).endswith(
        "no fer2013new.csv and no folder FER2013Train with a label.csv; complete it"
    )


def test_a_folder_of_its_pictures_alone_is_recognised_as_incomplete(root):
    build_ferplus(root, [], "parts")
    for part in ("Train", "Valid", "Test"):
        (root / f"FER2013{part}" / "label.csv").unlink()
    with pytest.raises(UserError, match=r"the folder FER2013Test looks like ferplus, but this is missing"):
        read_manifest(root)


def test_a_picture_listed_twice_counts_once(root):
    build_ferplus(root, [], "parts")
    file = root / "FER2013Train" / "label.csv"
    text = file.read_text()
    file.write_text(text + text.partition("\n")[0] + "\n")
    manifest = read_manifest(root)
    assert len(manifest.clips) == 19
    assert "repeated list entries, ignored: 1 (fer0000000)" in [p.line for p in manifest.problems]


def test_pixels_that_cannot_be_used_are_named(root):
    build_ferplus(root, [])
    (root / "fer2013.csv").write_text("a web page")
    assert refusal(root).startswith("fer2013.csv: no column pixels in its first line")


def test_a_row_without_pixels_is_reported(root):
    build_ferplus(root, [])
    change_line(root / "fer2013.csv", 5, lambda line: "3,,Training")
    lines = [problem.line for problem in read_manifest(root).problems]
    assert "rows without pixels, undecodable: 1 of 19 (fer2013.csv/000003)" in lines
