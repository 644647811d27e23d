"""Search for the most accurate subnets that reach given frame rates: ``python -m nas.search``.

In the order in which a run goes through them:

- ``options``: the command line.
- ``setup``: the options, resolved to engines (``candidate_engines``), frame rates (``targets``),
  images and a recipe.
- ``job``: the stages of a run, from training to the summary.
- ``evolution``: the search itself, in the ``band`` of cycles below each limit, led by a ``trend``;
  its state on disk (``evolution_state``, ``run_folder``). ``scoring`` evaluates its subnets.
- ``ranking``: the winners, and the baselines that they are compared with.
- ``report``: the winners on the test images and on the RTL.
- ``summary``, ``table``, ``pareto``, ``page``: the results as a file, on the terminal, as a plot,
  as a page to look at.
"""
