"""What this machine and its terminal have."""

import os


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def forget_no_width() -> None:
    """Take a terminal of no columns, as some without a size say, for one that says nothing: tables would be empty."""
    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]
