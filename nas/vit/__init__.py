"""The example with a trained network from elsewhere: ``nox -s vit``.

- ``wheels``, ``photographs``: the network and photographs, out of pinned packages; crops of them
- ``inputs``: hashes of all that goes in
- ``rows``: quantized networks; ``engine``: on the RTL
- ``maps``, ``drawing``: their saliency maps and scores
- ``job``: the example; ``figures``: every figure of the published table, resumable
- ``onnx``: the network as ONNX files, compared code by code
- ``selection``: fewer tokens, chosen by the quantized network and by the float network
- ``ladder``: what each step of the quantization is worth
- ``probe``, ``noise``, ``digits``, ``digit_network``: further figures
- ``summary``: the file of all figures
"""
