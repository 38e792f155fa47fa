"""Videos over time: windows, and what is drawn of their answers."""
