"""Raw clips to a landmark cache: decode, find and follow one face, 68 landmarks, 18 key-points, aligned crops."""
