import os
from pathlib import Path

import pytest
from trees import write_text

from dfer.data_manifest.text_files import read_lines, read_text
from dfer.schemas.support.errors import UserError

FORM = r"^(?P<name>[0-9]{1,9}),(?P<label>\w+)$"


def test_a_list_is_read_without_bom_carriage_returns_empty_lines_and_header(tmp_path):
    write_text(tmp_path / "a.csv", ['"Name", label', "", "1,x", " 2,y "], end="\r\n", bom=True)
    lines = read_lines(tmp_path / "a.csv", FORM, "1,x", header="name,label")
    assert lines.select("line", "name", "label").rows() == [(3, "1", "x"), (4, "2", "y")]


@pytest.mark.parametrize("line", ["٣٣,x", "1;x", "1,x,y"])
def test_a_line_of_another_form_is_quoted_with_its_number(tmp_path, line):
    """Digits of other scripts are not numbers."""
    write_text(tmp_path / "a.csv", ["1,x", line])
    with pytest.raises(
        UserError, match=rf"a.csv, line 2: expected a line like '1,x', found '{line}'; fix or"
    ):
        read_lines(tmp_path / "a.csv", FORM, "1,x")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_path_that_is_not_a_file_is_refused_without_waiting(tmp_path, make):
    make(tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"a.csv: not a file; put the list"):
        read_text(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "a.txt: no such file; the dataset is incomplete"),
        (b"PK\x03\x04\x14\x00", "not text but an Excel or zip file; save it as text"),
        (b"\x1f\x8b\x08\x00", "not text but compressed"),
        (b"PAR1", "not text but a Parquet file"),
        (b"a 8 1\n\0\0", "byte 6 is 0, so not text"),
        (b"a 8 1\ncaf\xe9", "byte 9 is not UTF-8; save it as UTF-8"),
        ("a 8 1\n".encode("utf-16"), "byte 0 is not UTF-8"),
    ],
)
def test_a_file_that_is_not_utf8_text_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_text(tmp_path / "a.txt")
