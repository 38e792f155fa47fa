"""Use a trained model: predict clips. The one part of `train` that calls the pipeline, to extract its input."""
