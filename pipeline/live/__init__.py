"""One face in a stream of frames, as it comes: from a camera, or from a file at its own speed."""
