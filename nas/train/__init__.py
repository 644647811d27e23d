"""Training of a task's supernet alone: ``python -m nas.train``.

- ``options``: the command line
- ``job``: the task, the training, the search that follows
"""
