"""How tensors are kept, as against what a rule computes on."""
