"""Tasks of a search: images with classes, a space of subnets, a recipe of training.

- ``task``: the three together; that of the digits
- ``sizes``: sizes of the subnets of a space, of the package or from a TOML file
- ``parts``: a folder's images in three parts, those of training, validation and test
- ``pixels``: what size and how many channels they should have; reading them
- ``survey``: whether each of many can be read, and its hash
- ``images``: those of a part, in memory or in their files
- ``record``: a task as a TOML file
- ``networks``: trained networks that a recipe names
- ``folder``: the task of a folder
- ``options``, ``opening``: options that name a task, and that task
"""
