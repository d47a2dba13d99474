"""From alike layers to a network that loops: tying, programs and what executes them."""
