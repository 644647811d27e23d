"""Accuracy of an integer model beside its float network: ``python -m nas.evaluate``.

- ``job``: the command; ``options``: what it takes
- ``answers``: what a network gives for a batch of images, integer or float
- ``compare``: both, image by image; ``result``: accuracies, agreement, likeness of features
- ``noise``: what each operation's rounding costs
- ``tables``: both as tables
- ``report``: all of it as a page; ``pictures``: its images with answers
"""
