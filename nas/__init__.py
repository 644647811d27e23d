"""Neural architecture search for the accelerator: supernet, quantization-aware training, export."""
