"""Training of the supernet.

- ``recipe``: everything that decides the result, and the key under which a run is kept
- ``augment``: random distortion of the images
- ``share``, ``processes``: the processes that train together, and the part of a batch of each
- ``mixing``: mixup and cutmix of a batch
- ``batches``: the images of each step
- ``pictures``: timm's augmentation of single pictures
- ``streamed``: the images of each step where they stay in their files, or are changed one by one
- ``loss``: the loss of one subnet
- ``partner``: a second process that computes subnets of a step
- ``trainer``: one step after the other: subnets, losses, rates, averages
- ``drop_path``: branches that are left out at random
- ``optimizer``: groups of parameters, the rate of a step
- ``train``: what goes on around the steps: progress, logs, saving, Ctrl-C
- ``checkpoint``: the file of a run
- ``evaluate``: accuracy with its uncertainty
"""
