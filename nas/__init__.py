"""Neural architecture search for the accelerator: supernet, training, costs, search, export.

- :mod:`nas.data`, :mod:`nas.digits`: images with labels; the handwritten digits
- :mod:`nas.folder`: images of a folder, perhaps with classes
- :mod:`nas.testset`: the test set, which only the final report imports
- :mod:`nas.space`: the search space
- :mod:`nas.numerics`: codes and factors in PyTorch, and the whole integer model in integers
- :mod:`nas.supernet`: the network whose subnets share weights, and its export
- :mod:`nas.training`: its training
- :mod:`nas.cost`: what a network costs on a board; calibration; the search for an engine
- :mod:`nas.search`: ``python -m nas.search``, the main job
- :mod:`nas.evaluate`: ``python -m nas.evaluate``, an integer model beside its float network
- :mod:`nas.fit`, :mod:`nas.explain`, :mod:`nas.calibrate`: commands about costs
"""
