"""The example with a trained network from elsewhere.

- ``wheels``, ``photographs``: network and pictures out of pinned packages; crops of them
"""
