"""Read a dataset's folder, whatever its layout, to one manifest table (`schemas.manifest`)."""
