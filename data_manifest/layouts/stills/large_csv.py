"""Read columns of a large CSV of numbers, in which no cell is quoted: only what is asked for is in memory."""

from pathlib import Path

import polars as pl

from dfer.schemas.support.errors import UserError

FIRST_ROW_BYTES = 4000


def first_row(file: Path) -> tuple[str, ...]:
    """The cells of the first line, stripped and in lower case; () if there is no such file, or it cannot be read."""
    try:
        if not file.is_file():
            return ()
        with file.open("rb") as opened:
            line = opened.read(FIRST_ROW_BYTES).decode("utf-8-sig", "replace").partition("\n")[0]
    except OSError:
        return ()
    return tuple(cell.strip(' "\r').lower() for cell in line.split(","))


def read_columns(file: Path, *, has_header: bool = True, **columns: pl.Expr) -> pl.DataFrame:
    """Compute columns of the CSV's own (`pl.nth`), null where a cell is empty or missing; and `line`.

    Raises UserError, with the line, if one has more cells than the first, or is not UTF-8.
    """
    try:
        table = pl.scan_csv(file, infer_schema=False, glob=False, has_header=has_header)
        # Polars notices a line with too many cells only if it needs all of them.
        needs_all = pl.any_horizontal(pl.all().is_null())
        rows = table.select(needs_all.alias(""), **columns).collect(engine="streaming").drop("")
    except (pl.exceptions.PolarsError, OSError, ValueError):
        raise UserError(f"{file}{_damage(file)}; download or unpack it again") from None
    return rows.with_row_index("line", 1 + has_header)


def _damage(file: Path) -> str:
    """Where a file is damaged, and how."""
    try:
        with file.open("rb") as lines:
            expected = next(lines, b"").count(b",") + 1
            for number, line in enumerate(lines, 2):
                cells = line.count(b",") + 1
                if cells > expected:
                    return f", line {number}: {cells} cells where the first line has {expected}"
                line.decode()
    except UnicodeDecodeError:
        return f", line {number}: not UTF-8"
    except OSError as error:
        return f": {error.strerror}"
    return ": cannot be read as CSV"
