"""Networks that see one frame at a time: averaged over the frames, or read in order by a recurrent part."""
