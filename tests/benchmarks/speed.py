"""The table of a README from a benchmark of several models: clips per second, as it is and the fastest way.

train benchmark --model former-dfer,paper,strong,lean --batch-sizes 1,8 --fastest --json | python speed.py
"""

import json
import sys
from collections.abc import Mapping
from typing import Any


def main() -> None:
    content = json.load(sys.stdin)
    cases = list(dict.fromkeys((row["task"], row["batch_size"]) for row in content["measured"]))
    found = {(row["model"], row["task"], row["batch_size"]): row for row in content["measured"]}
    heads = [f"{task} × {clips}, {kind}" for task, clips in cases for kind in ("clips/s", "fastest, clips/s")]
    lines = [["model", "input", "parameters", "multiply-adds", "memory", *heads]]
    lines.append(["---", *["---:"] * (len(lines[0]) - 1)])
    for model in content["models"]:
        rows = [found[model["model"], *case] for case in cases]
        size = ("–", "–")
        if model["parameters"]:
            size = (f"{model['parameters'] / 1e6:.1f} M", f"{model['multiply_adds'] / 1e9:.1f} G")
        frames = f"{model['num_frames']} × {model['image_size']} px"
        memory = max((row["memory"] or 0 for row in rows), default=0)
        cells = [cell for row in rows for cell in speeds(row)]
        lines.append([f"`{model['model']}`", frames, *size, f"{memory / 2**30:.1f} GiB", *cells])
    for line in lines:
        print(f"| {' | '.join(line)} |")


def speeds(row: Mapping[str, Any]) -> tuple[str, str]:
    """Clips per second, with the ratio to the first model, and those of the fastest way."""
    plain = row["clips_per_second"]
    if plain is None:
        return "fails", ""
    relative = f" ({row['relative']:.2f} ×)" if row["relative"] else ""
    best = max(row["tried"], key=lambda each: each["speedup"] or 0, default=None)
    if not best or (best["speedup"] or 0) <= 1:
        return f"{plain:.3g}{relative}", f"{plain:.3g}"
    return f"{plain:.3g}{relative}", f"{plain * best['speedup']:.3g}, {best['way']}"


if __name__ == "__main__":
    main()
