"""Training of the supernet: recipe, augmentation, steps, checkpoints, evaluation."""
