"""Networks for the accelerator: searched, or trained elsewhere and quantized; and their costs.

- :mod:`nas.data`, :mod:`nas.stored`, :mod:`nas.digits`: images with labels, in memory or in their
  files; the handwritten digits
- :mod:`nas.folder`: images of a folder, perhaps with classes; :mod:`nas.image_files` finds them,
  :mod:`nas.labels` their classes
- :mod:`nas.intervals`: intervals of accuracies; :mod:`nas.producer`: the name in a model file
- :mod:`nas.testset`: the test set, which only the final report imports
- :mod:`nas.space`: the search space; :mod:`nas.keep`: its choices of patches that blocks keep;
  :mod:`nas.task`: images, space and recipe of a search
- :mod:`nas.numerics`: codes and factors in PyTorch, and the whole integer model in integers
- :mod:`nas.importer`: trained networks from elsewhere, in one canonical form
- :mod:`nas.quantize`: ``python -m nas.quantize``, such a network to an integer model
- :mod:`nas.supernet`: the network whose subnets share weights, and its export
- :mod:`nas.warm`: trained networks that its training begins with, or learns from
- :mod:`nas.training`: its training; :mod:`nas.train`: ``python -m nas.train``, that alone
- :mod:`nas.cost`: what a network costs on a board; calibration; the search for an engine
- :mod:`nas.search`: ``python -m nas.search``, the main job
- :mod:`nas.finetune`: ``python -m nas.finetune``, its winners trained further
- :mod:`nas.studies`: ``python -m nas.studies``, studies of the method on the digits
- :mod:`nas.evaluate`: ``python -m nas.evaluate``, an integer model beside its float network
- :mod:`nas.export_onnx`: ``python -m nas.export_onnx``, an integer model as an ONNX file
- :mod:`nas.report`: ``report.html``, a model or a search to look at
- :mod:`nas.vit`: ``python -m nas.vit``, the example with a trained network
- :mod:`nas.fit`, :mod:`nas.explain`, :mod:`nas.calibrate`: commands about costs
"""
