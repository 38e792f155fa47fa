"""The contract between `pipeline` and `train`: the cache layout, its tables, the key-points."""
