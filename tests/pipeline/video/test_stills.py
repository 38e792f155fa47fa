import hashlib

import numpy as np
import pytest
from open_clip import open_clip
from PIL import Image, ImageOps

from dfer.data_manifest.datasets import read_manifest
from dfer.pipeline.video.clip_files import fingerprint
from dfer.pipeline.video.sources import DecodeError


@pytest.fixture(scope="module")
def portrait(astronaut):
    """The face and some space: (192, 192, 3) uint8."""
    return astronaut[20:212, 128:320]


def frame_of(path):
    source = open_clip(path)
    facts = source.facts
    (frame,) = source.read([0])
    assert (facts.frames, facts.fps, facts.duration_s, source.times([0])) == (1, None, None, None)
    assert (facts.height, facts.width, 3) == frame.shape and frame.dtype == np.uint8
    return frame


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1"])
def test_an_image_file_of_any_mode_is_a_clip_of_one_frame(portrait, tmp_path, mode):
    picture = Image.fromarray(portrait).convert(mode)
    path = tmp_path / ("face.tif" if mode == "CMYK" else "face.png")
    picture.save(path)
    expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(frame_of(path), expected)


@pytest.mark.parametrize("name", ["face.png", "face.tif", "face.pgm"])
def test_a_still_of_sixteen_bits_keeps_its_greys(portrait, tmp_path, name):
    grey = np.asarray(Image.fromarray(portrait).convert("L"))
    Image.fromarray(grey.astype(np.uint16) << 8).save(tmp_path / name)
    np.testing.assert_allclose(frame_of(tmp_path / name)[..., 0], grey, atol=1)


def test_a_rotated_photo_is_turned_upright(portrait, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(np.rot90(portrait[:150])).save(tmp_path / "a.jpg", exif=exif, quality=95)
    frame = frame_of(tmp_path / "a.jpg")
    assert frame.shape == (150, 192, 3)
    assert np.abs(frame.astype(int) - portrait[:150]).mean() < 4


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\x89PNG\r\n\x1a\n and then nothing", "the image cannot be decoded"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "the image is a Git LFS pointer, not an image; run",
        ),
    ],
)
def test_an_image_that_cannot_be_decoded_has_a_reason(tmp_path, content, reason):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DecodeError, match=reason):
        open_clip(tmp_path / "a.png")


def test_an_image_that_is_too_large_is_not_called_damaged(tmp_path):
    Image.new("1", (13_400, 13_400)).save(tmp_path / "a.png")
    with pytest.raises(DecodeError, match="the image is too large: it has more than 179 million pixels"):
        open_clip(tmp_path / "a.png")


@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 10))
def test_every_orientation_is_shown_as_pillow_shows_it(portrait, tmp_path, orientation, ending):
    path, exif = tmp_path / f"photo{ending}", Image.Exif()
    exif[274] = orientation
    Image.fromarray(portrait[:150]).save(path, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert (frame_of(path) == expected).all() and expected.shape[0] == (
        150 if orientation in (1, 2, 3, 4, 9) else 192
    )


@pytest.mark.parametrize(
    ("written", "damaged", "turned"),
    [
        (b"\x01\x0f\0\x02", b"\x01\x00\0\x02", True),  # the maker becomes a width that is text
        (b"MM\0*", b"MM\0\0", False),  # no EXIF data any more
    ],
)
def test_a_photo_with_damaged_exif_data_is_read(portrait, tmp_path, written, damaged, turned):
    path, exif = tmp_path / "photo.png", Image.Exif()
    exif[274], exif[271] = 6, "made by"
    assert exif.tobytes().count(written) == 1
    Image.fromarray(np.rot90(portrait)).save(path, exif=exif.tobytes().replace(written, damaged))
    assert (frame_of(path) == (portrait if turned else np.rot90(portrait))).all()


@pytest.fixture
def write_csv(tmp_path):
    def write(rows, header="emotion,pixels,Usage", end="\n", start=""):
        path = tmp_path / "fer2013.csv"
        path.write_text(start + end.join([header, *rows]), encoding="utf-8", newline="")
        return path

    return write


def as_text(picture):
    return " ".join(map(str, picture.ravel()))


@pytest.mark.parametrize(
    "how", [{}, {"end": "\r\n"}, {"start": "\ufeff"}, {"header": "emotion, Pixels ,Usage"}]
)
def test_a_row_of_a_csv_of_pixels_is_a_clip_of_one_frame(portrait, write_csv, how):
    small = Image.fromarray(portrait).convert("L").resize((48, 48))
    pictures = [np.asarray(small), np.asarray(small)[:, ::-1]]
    csv = write_csv([f"3,{as_text(pictures[0])},Training", f'0,"{as_text(pictures[1])}",PublicTest'], **how)
    for row, picture in enumerate(pictures):
        path = csv / f"{row:06d}"
        frame = frame_of(path)
        assert (frame == picture[..., None]).all()
        assert fingerprint(path) == hashlib.sha256(as_text(picture).encode()).hexdigest()


@pytest.mark.parametrize("blank", ["", ",,", "\r"])
def test_blank_lines_do_not_shift_the_pixels_of_the_labels(write_csv, blank):
    rows = [f"{number},{' '.join([str(number)] * 4)},Training" for number in range(4)]
    csv = write_csv([*rows[:2], blank, blank, *rows[2:], ""])
    clips = read_manifest(csv.parent).clips
    shades = [int(frame_of(csv.parent / path).max()) for path in clips["path"]]
    assert clips["label"].to_list() == ["anger", "disgust", "fear", "happiness"] and shades == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("0,1 2 3,Training", "its row has 3 pixels, which make no square"),
        ("0,,Training", "its row has no pixels"),
        ("07", "its row has no pixels"),
        ("0,1 2 3 x,Training", "its pixels are not whole numbers"),
        (f"0,1 2 3 {'9' * 20},Training", "its pixels are not whole numbers"),
        ("0,1 2 3 256,Training", "its pixels are not between 0 and 255"),
        ("0,1 2 3 -1,Training", "its pixels are not between 0 and 255"),
    ],
)
def test_a_row_that_is_no_picture_has_a_reason(write_csv, row, reason):
    with pytest.raises(DecodeError, match=reason):
        open_clip(write_csv([row]) / "000000")


def test_a_row_or_column_that_is_not_there_has_a_reason(write_csv):
    with pytest.raises(DecodeError, match="the CSV has only 1 rows"):
        fingerprint(write_csv(["0,1 2 3 4,Training"]) / "000001")
    with pytest.raises(DecodeError, match="the CSV has no column pixels"):
        fingerprint(write_csv(["0,1 2 3 4"], header="emotion,picture") / "000000")


def test_a_csv_that_changed_is_read_again(write_csv):
    for rows in (["0,1 2 3 4,a"], ["1,9 9 9 9 9 9 9 9 9,a", "0,5 6 7 8,b"]):
        csv = write_csv(rows)
        side = len(rows[0].split(",")[1].split()) ** 0.5
        assert frame_of(csv / "000000").shape == (side, side, 3)
