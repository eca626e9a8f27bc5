"""The text of a kernel."""
