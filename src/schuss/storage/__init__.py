"""Storage: the form in which tensors are kept, and the form in which a rule computes on them."""
