"""The network of Huang et al. 2024, one part a file.

Shapes: B clips, N frames, K key-points, C channels, h × w the feature map, R features of a frame (512).
"""
