"""`train serve`: a local page that takes a video and shows the emotion over time."""
