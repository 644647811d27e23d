"""Small stream parts: link, fork, skid buffer, queue, credits, flags, choice, delay lines."""
