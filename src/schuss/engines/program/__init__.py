"""The operations of a rule on one element, written down once: no tensor, no shape and no number."""
