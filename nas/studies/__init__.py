"""Studies of the method, each one command that can be interrupted and continued.

- ``options``: the command line of ``python -m nas.studies``
- ``setup``: images and recipe of the studies on the digits
- ``alone``: subnets with the supernet's weights, beside the same subnets trained alone
- ``ranking``: scores that select subnets, held against the test's cross-entropy
- ``splits``: the main job on five splits of the digits
- ``supernet``: recipes of the supernet, beside the one that is used
- ``tricks``: steps of training as other papers take them, beside the recipe that is used
- ``warm``: training that begins with a trained network, beside random weights
- ``keep``: networks that select tokens, beside those that keep them all
- ``rows``: which rows of a trained ViT-S get 8 bits; ``scores``: other ways to choose them
- ``quantizers``: codes of other papers in place of this pipeline's; ``variants``: which ones;
  ``codes``: how they round; ``quantizer_table``: how they are shown
- ``importance``: weights that patches are chosen by, before and behind rounding
- ``step``: time and memory of a step of training, beside timm's
- ``answers``: answers of subnets on the test images, as integer models
- ``spread``: subnets spread over the cycles
- ``resampling``: intervals of means over two kinds of things that were drawn
"""
