import os
from pathlib import Path

import pytest
import trees

from dfer.data_manifest.datasets import read_manifest
from dfer.schemas.support.errors import UserError

TRAIN = "EmoLabel_DataSplit/train(single-labeled)/set_1.csv"


def test_digits_of_other_scripts_are_no_numbers(root):
    trees.build_dfew(root, [])
    trees.write_text(root / TRAIN, ["video_name,label", "٣٣,1"])
    with pytest.raises(UserError, match=r"set_1.csv, line 2: '٣٣,1' is not of the form 00001,3"):
        read_manifest(root)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_list_that_is_no_file_is_named_and_not_waited_for(root, make):
    trees.build_dfew(root, [])
    (root / TRAIN).unlink()
    make(root / TRAIN)
    with pytest.raises(UserError, match=r"set_1.csv is no file; put the list"):
        read_manifest(root)
