"""The cells of a CSV or Parquet file, and the line of each row. What is no such file is refused, in our own words."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dfer.data_manifest.text_files import read_text
from dfer.schemas.support.errors import UserError

SEPARATORS = ",;\t"
SAID = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)  # the first line that Excel takes the separator from
QUOTED = r'"(?:[^"]|"")*"'


@dataclass(frozen=True, kw_only=True)
class Cells:
    """names: of the columns as written, in order (one may come twice); lines: of the rows in the file."""

    names: tuple[str, ...]
    table: pl.DataFrame
    lines: pl.Series


def is_parquet(file: Path) -> bool:
    return file.suffix.lower() == ".parquet"


def read_cells(file: Path) -> Cells:
    """The cells of a file: of CSV all as text. Raises UserError, with the line where there is one."""
    return _read_parquet(file) if is_parquet(file) else _read_csv(file)


def _read_csv(file: Path) -> Cells:
    """Empty lines are passed over. The separator is the one that the header has."""
    lines = pl.DataFrame({"text": read_text(file).split("\n")}).with_row_index("line", 1)
    lines = lines.filter(pl.col("text").str.strip_chars() != "")
    said = SAID.fullmatch("".join(lines["text"].head(1)).strip(" "))
    lines = lines.slice(1 if said else 0)
    if lines.is_empty():
        raise UserError(f"{file} is empty; it needs the columns path and label")
    header = re.sub(QUOTED, "", lines["text"][0])
    separator = said[1] if said else max(SEPARATORS, key=header.count)
    _refuse_malformed(lines, separator, file)
    content = io.BytesIO(lines["text"].str.join("\n")[0].encode())
    try:
        rows = pl.read_csv(content, separator=separator, has_header=False, infer_schema=False)
    except pl.exceptions.PolarsError:
        rows = pl.DataFrame()
    if len(rows) != len(lines):
        raise UserError(f"{file} is no CSV that can be read; save it again as CSV (UTF-8)")
    return Cells(
        names=tuple(name or "" for name in rows.row(0)),
        table=rows.slice(1),
        lines=lines["line"].slice(1).cast(pl.Int64),
    )


def _refuse_malformed(lines: pl.DataFrame, separator: str, file: Path) -> None:
    """Raise UserError for a quote that is not around a whole cell of one line, or another number of cells."""
    text = pl.col("text")
    between = f"[{separator}]"
    cell = f'(?:{QUOTED}|[^"{separator}]*)'
    quoted = lines.filter(text.str.contains('"', literal=True))
    wrong = quoted.filter(~text.str.contains(f"^{cell}(?:{between}{cell})*$"))
    if len(wrong):
        raise UserError(
            f"{file}, line {wrong['line'][0]}: a quote is not around a whole cell of one line; "
            'close it, or write "" for a quote within a cell'
        )
    count = text.str.replace_all(QUOTED, "") if len(quoted) else text
    counted = lines.select("line", cells=count.str.count_matches(separator, literal=True) + 1)
    meant = counted["cells"][0]
    uneven = counted.filter(pl.col("cells") != meant)
    if len(uneven):
        line, cells = uneven.row(0)
        raise UserError(
            f"{file}, line {line}: {cells} cells, the header has {meant}; "
            f"leave empty what it lacks, quote cells that hold a {separator!r}"
        )


def _read_parquet(file: Path) -> Cells:
    try:
        table = pl.read_parquet(file, glob=False)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or 'it cannot be read'}") from None
    except pl.exceptions.PolarsError:
        raise UserError(
            f"{file} is no Parquet file that can be read: it is cut off or of another kind"
        ) from None
    return Cells(names=tuple(table.columns), table=table, lines=pl.int_range(1, len(table) + 1, eager=True))
