"""The network of Huang et al. 2024, one part a file.

Shapes: B clips, N frames, K key-points, C channels (512), h × w the feature map, D features of a key-point (128 after
the graph), R features of a frame (512).
"""
