"""Networks of 3D convolutions, which see a clip as a volume."""
