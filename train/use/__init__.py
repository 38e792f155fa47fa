"""Use a trained model: predict clips. Only this part of `train` calls the pipeline, to extract clips."""
