"""What a rule does to one element, written down once: no tensor, no shape and no number."""
