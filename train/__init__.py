"""A landmark cache to a trained network: CNN, key-point graph, region fusion, temporal transformer."""
