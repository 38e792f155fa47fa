"""Lists of clips in text files: one line a clip, its fields by a regular expression, with the line's number."""

from pathlib import Path

import polars as pl

from dfer.schemas.support.errors import UserError

TAIL = 60  # characters of a malformed line that are quoted
NO_TEXT = {b"PK\x03\x04": "an Excel or zip file", b"\x1f\x8b": "compressed (gzip)", b"PAR1": "a Parquet file"}


def read_lines(file: Path, form: str, meant: str, header: str | None = None) -> pl.DataFrame:
    """The named groups of `form` as text columns, one row a line; also `file` and `line` (from 1).

    Empty lines, and a first line that is `header` in any case, are passed over; a BOM and CRLF are too.
    meant: how a line should look, for the error. Raises UserError for a file that is missing or not UTF-8 and for
    a line of another form.
    """
    text = read_text(file)
    lines = pl.DataFrame({"text": text.split("\n")}).with_row_index("line", 1)
    lines = lines.with_columns(pl.col("text").str.strip_chars()).filter(pl.col("text") != "")
    if header and len(lines) and lines["text"][0].lower().replace(" ", "").replace('"', "") == header:
        lines = lines.slice(1)
    fields = lines.select(
        "text",
        pl.col("line").cast(pl.Int64),
        pl.lit(str(file)).alias("file"),
        pl.col("text").str.extract_groups(form).alias("fields"),
    ).unnest("fields")
    first = fields.columns[3]
    wrong = fields.filter(pl.col(first).is_null())
    if len(wrong):
        shown = wrong["text"][0]
        shown = shown if len(shown) <= TAIL else shown[:TAIL] + "…"
        raise UserError(
            f"{file}, line {wrong['line'][0]}: {shown!r} is not of the form {meant}; mend or remove it"
        )
    return fields.drop("text")


def read_text(file: Path) -> str:
    """A UTF-8 file, with or without BOM, lines ended by a line feed. Raises UserError where there is no such text."""
    try:
        if file.exists() and not file.is_file():  # a pipe would make us wait for ever
            raise UserError(f"{file} is no file; put the list or table itself there")
        content = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"no such file: {file}; the dataset is not complete without it") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    for start, what in NO_TEXT.items():
        if content.startswith(start):
            raise UserError(f"{file} is not text but {what}; save it as text (a table as CSV), in UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: byte {error.start} is not UTF-8; save it as UTF-8") from None
    if "\0" in text:
        raise UserError(f"{file}: byte {content.index(0)} is 0, which no text has; save it again, in UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
