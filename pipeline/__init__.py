"""Raw clips to a landmark cache: decode, find and track one face, 68 landmarks, 18 key-points, aligned crops."""
