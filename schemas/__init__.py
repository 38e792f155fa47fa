"""The contract between `pipeline` and `train`: key-points, tables, cache layout, errors and exit codes."""
