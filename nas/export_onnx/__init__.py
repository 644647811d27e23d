"""Integer models as ONNX files, which compute the same codes: ``python -m nas.export_onnx``.

- ``graph``: a graph of standard operators, written node by node
- ``operations``: the operations of docs/numerics.md in these operators
- ``network``: all of a network; ``export``: the file
- ``comparison``: onnxruntime beside golden, code by code; ``job``: the command
"""
