"""Networks whose frames, places or both attend to each other."""
