"""The fused engine: one rule, traced once, runs as one generated kernel over all parameters."""
