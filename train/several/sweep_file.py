"""The TOML file of a sweep: a base preset, and variants with the settings that differ."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfer.schemas.support.errors import UserError
from dfer.train.config import TrainConfig, load_config
from dfer.train.results.baseline import ROW as BASELINE_ROW
from dfer.train.results.run_folder import SWEEP, SWEEP_PLOT

SWEEPS = Path(__file__).parents[1] / "presets" / "sweeps"
# Fields of a sweep's file, and their types.
SWEEP_FIELDS = {"title": str, "base": str, "axis": str, "published": str, "variant": list}
VARIANT_FIELDS = {"name": str, "what": str, "base": str, "from_scratch": bool, "set": dict}

OPTIONAL = dict.fromkeys(("title", "axis", "published", "what"), "") | {"from_scratch": False}
TYPE_NAMES = {
    str: "a string",
    list: "a list of tables [[variant]]",
    dict: "a table of settings",
    bool: "true or false",
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of the comparison.

    name: also of its folder and of its row in the published table
    what: description
    base: a preset
    from_scratch: whether it ignores the weights that the other variants start from
    settings: overrides of the base
    """

    name: str
    what: str
    base: str
    from_scratch: bool
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """axis: what the variants differ in; published: the paper's table with the same rows ("9")."""

    title: str
    axis: str
    published: str
    variants: tuple[Variant, ...]


def load_sweep(name: str, preset: str | None = None) -> Sweep:
    """Read a sweep by its name or its TOML file.

    preset: the base of every variant that names none, instead of the file's

    Raises UserError if it is missing or invalid.
    """
    path = Path(name) if name.endswith(".toml") else SWEEPS / f"{name}.toml"
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in SWEEPS.glob("*.toml")))
        raise UserError(f"no sweep {name}; choose one of {known}, or a .toml file") from None
    except ValueError as error:  # not TOML, not UTF-8, or a number too large for Python
        raise UserError(f"{path} is not a valid sweep: {error}") from None
    fields = _fields(content, SWEEP_FIELDS, f"{path} is not a valid sweep:")
    base = fields.pop("base")
    tables = [
        _fields(table, VARIANT_FIELDS, f"{path} is not a valid sweep: variant {number}", preset or base)
        for number, table in enumerate(fields.pop("variant"), 1)
    ]
    variants = tuple(Variant(settings=table.pop("set"), **table) for table in tables)
    names = [variant.name for variant in variants]
    if not names or len(set(names)) < len(names) or not all(map(_is_folder_name, names)):
        rule = f"unique names that can be folder names, other than {BASELINE_ROW!r}"
        raise UserError(f"{path} is not a valid sweep: variants need {rule}")
    if any("seed" in variant.settings for variant in variants):
        raise UserError(f"{path} is not a valid sweep: a variant must not set `seed`; give --seeds")
    return Sweep(**fields, variants=variants)


def _fields(table: Any, kinds: Mapping[str, type], where: str, base: str | None = None) -> dict[str, Any]:
    """These fields of a TOML table. base: if it has none.

    Raises UserError if one is missing or has another type, or if there are others.
    """
    content = {**OPTIONAL, "base": base, **table} if isinstance(table, dict) else {}
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind):
            raise UserError(f"{where} needs a field `{name}`, {TYPE_NAMES[kind]}")
    if unknown := [name for name in table if name not in kinds]:
        raise UserError(f"{where} has a field `{unknown[0]}`, which is none of {', '.join(kinds)}")
    return {name: content[name] for name in kinds}


def _is_folder_name(name: str) -> bool:
    return (
        name.isprintable()
        and "/" not in name
        and name not in ("", ".", "..", SWEEP, SWEEP_PLOT, BASELINE_ROW)
        and len(name.encode()) < 200
    )


def config_of(variant: Variant, overrides: Mapping[str, Any]) -> TrainConfig:
    """A variant's settings. overrides: of all variants; its own come first. Raises UserError naming the variant."""
    try:
        return load_config(variant.base, {**overrides, **variant.settings})
    except UserError as error:
        raise UserError(f"variant {variant.name}: {error}") from None
