"""Datasets of single pictures, one file a layout."""
