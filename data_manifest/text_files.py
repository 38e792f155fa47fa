"""Read text files: a whole file as UTF-8, or a list whose lines a regular expression takes apart."""

from pathlib import Path

import polars as pl

from dfer.schemas.support.errors import UserError

QUOTED = 60  # characters of a malformed line that an error quotes
OTHER_FORMATS = {
    b"PK\x03\x04": "an Excel or zip file",
    b"\x1f\x8b": "compressed (gzip)",
    b"PAR1": "a Parquet file",
}


def read_lines(file: Path, form: str, example: str, header: str | None = None) -> pl.DataFrame:
    """Read a list, one row per line; empty lines are skipped.

    form: regular expression of a line; its named groups become text columns
    example: a correct line, for the error
    header: the first line to skip if it is there, lower case without spaces and quotes

    Returns `line` (from 1), `file`, and the named groups.
    Raises UserError if the file is missing or not UTF-8, or a line has another form.
    """
    lines = pl.DataFrame({"text": read_text(file).split("\n")}).with_row_index("line", 1)
    lines = lines.with_columns(pl.col("text").str.strip_chars()).filter(pl.col("text") != "")
    if header and len(lines) and lines["text"][0].lower().replace(" ", "").replace('"', "") == header:
        lines = lines.slice(1)
    fields = lines.select(
        "text",
        pl.col("line").cast(pl.Int64),
        pl.lit(str(file)).alias("file"),
        pl.col("text").str.extract_groups(form).alias("fields"),
    ).unnest("fields")
    first_field = fields.columns[3]
    wrong = fields.filter(pl.col(first_field).is_null())
    if len(wrong):
        line, text = wrong.select("line", "text").row(0)
        quoted = text if len(text) <= QUOTED else text[:QUOTED] + "…"
        raise UserError(
            f"{file}, line {line}: expected a line like {example!r}, found {quoted!r}; fix or remove it"
        )
    return fields.drop("text")


def read_text(file: Path) -> str:
    """Read UTF-8 text, with or without BOM and carriage returns. Raises UserError if it cannot."""
    try:
        if file.exists() and not file.is_file():  # reading a pipe would wait forever
            raise UserError(f"{file}: not a file; put the list or table there")
        content = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; the dataset is incomplete without it") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    for start, what in OTHER_FORMATS.items():
        if content.startswith(start):
            raise UserError(f"{file}: not text but {what}; save it as text (a table as CSV) in UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: byte {error.start} is not UTF-8; save it as UTF-8") from None
    if "\0" in text:
        raise UserError(f"{file}: byte {content.index(0)} is 0, so not text; save it again as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
