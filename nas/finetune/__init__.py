"""Fine-tuning of a search's winners: ``python -m nas.finetune``.

- ``options``: the command line
- ``finished``: a finished search: images, recipe, supernet, winners
- ``trainer``: training of one subnet that goes on from the supernet's weights
- ``job``: training, choosing on the validation images, measuring, writing
- ``report``: what is written and printed
"""
