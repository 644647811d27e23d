"""Fine-tuning of a search's winners: ``python -m nas.finetune``.

- ``options``: the command line
- ``finished``: what a finished search left: images, recipe, supernet, winners
- ``trainer``: training of one subnet that goes on from the supernet's weights
- ``job``: training, choosing on the validation images, measuring, writing
- ``report``: what is written and printed
"""
