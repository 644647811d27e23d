"""The example with a trained network from elsewhere: ``nox -s vit``.

- ``wheels``, ``photographs``: the network and the pictures, out of pinned packages; crops of them
- ``inputs``: hashes of all that goes in
- ``rows``: quantized networks; ``maps``: their saliency maps and scores; ``engine``: on the RTL
- ``job``: the example; ``figures``: every figure of the published table, resumable
- ``ladder``: what each step of the quantization is worth
- ``probe``, ``noise``, ``digits``: further figures; ``summary``: the file of them
"""
