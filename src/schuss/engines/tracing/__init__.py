"""From a rule to a program: what it does to one element, written down once."""
