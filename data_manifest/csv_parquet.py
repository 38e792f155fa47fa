"""Read a CSV or Parquet file to cells, with the line of each row for error messages."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dfer.data_manifest.text_files import read_text
from dfer.schemas.support.errors import UserError

SEPARATORS = ",;\t"
SEP_LINE = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)  # Excel's first line that names the separator
QUOTED = r'"(?:[^"]|"")*"'


@dataclass(frozen=True, kw_only=True)
class Cells:
    """A file's cells.

    names: of the columns, as written, in order; may repeat
    table: the rows; text only from CSV, typed from Parquet
    lines: line of each row in the file, or its number in a Parquet file, from 1
    """

    names: tuple[str, ...]
    table: pl.DataFrame
    lines: pl.Series


def is_parquet(file: Path) -> bool:
    return file.suffix.lower() == ".parquet"


def read_cells(file: Path) -> Cells:
    """Read a CSV (UTF-8) or Parquet file. Raises UserError, with the line if there is one."""
    return _read_parquet(file) if is_parquet(file) else _read_csv(file)


def _read_csv(file: Path) -> Cells:
    """Empty lines are skipped. The separator is the one most frequent in the header."""
    lines = pl.DataFrame({"text": read_text(file).split("\n")}).with_row_index("line", 1)
    lines = lines.filter(pl.col("text").str.strip_chars() != "")
    named = SEP_LINE.fullmatch("".join(lines["text"].head(1)).strip(" "))
    lines = lines.slice(1 if named else 0)
    if lines.is_empty():
        raise UserError(f"{file}: the file is empty; it needs the columns path and label")
    header = re.sub(QUOTED, "", lines["text"][0])
    separator = named[1] if named else max(SEPARATORS, key=header.count)
    _refuse_malformed(lines, separator, file)
    content = io.BytesIO(lines["text"].str.join("\n")[0].encode())
    try:
        rows = pl.read_csv(content, separator=separator, has_header=False, infer_schema=False)
    except pl.exceptions.PolarsError:
        rows = pl.DataFrame()
    if len(rows) != len(lines):
        raise UserError(f"{file}: cannot be read as CSV; save it again as CSV (UTF-8)")
    return Cells(
        names=tuple(name or "" for name in rows.row(0)),
        table=rows.slice(1),
        lines=lines["line"].slice(1).cast(pl.Int64),
    )


def _refuse_malformed(lines: pl.DataFrame, separator: str, file: Path) -> None:
    """Raise UserError for a stray quote, a cell over several lines, or the wrong number of cells."""
    text = pl.col("text")
    cell = f'(?:{QUOTED}|[^"{separator}]*)'
    quoted = lines.filter(text.str.contains('"', literal=True))
    wrong = quoted.filter(~text.str.contains(f"^{cell}(?:[{separator}]{cell})*$"))
    if len(wrong):
        raise UserError(
            f"{file}, line {wrong['line'][0]}: quotes must enclose a complete cell on one line; "
            'close the quote, or write "" for a quote inside a cell'
        )
    unquoted = text.str.replace_all(QUOTED, "") if len(quoted) else text
    cells = lines.select("line", cells=unquoted.str.count_matches(separator, literal=True) + 1)
    expected = cells["cells"][0]
    uneven = cells.filter(pl.col("cells") != expected)
    if len(uneven):
        line, found = uneven.row(0)
        raise UserError(
            f"{file}, line {line}: {found} cells where the header has {expected}; "
            f"leave missing cells empty, and quote cells that contain {separator!r}"
        )


def _read_parquet(file: Path) -> Cells:
    try:
        table = pl.read_parquet(file, glob=False)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or 'it cannot be read'}") from None
    except pl.exceptions.PolarsError:
        raise UserError(f"{file}: not a readable Parquet file (cut off, or another format)") from None
    return Cells(names=tuple(table.columns), table=table, lines=pl.int_range(1, len(table) + 1, eager=True))
