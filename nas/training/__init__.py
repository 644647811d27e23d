"""Training of the supernet.

- ``recipe``: everything that decides the result, and the key under which a run is kept
- ``augment``: random distortion of the images
- ``batches``: the images of each step
- ``streamed``: those of images that stay in their files
- ``trainer``: one step after the other: subnets, losses, rates, averages
- ``train``: what goes on around the steps: progress, logs, saving, Ctrl-C
- ``checkpoint``: the file of a run
- ``evaluate``: accuracy with its uncertainty
"""
