"""One reader per dataset layout, each giving the same manifest table (`schemas.manifest`)."""
