"""Parameters that are stepped together, their states, and the traces of their rule."""
