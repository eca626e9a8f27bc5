"""Tables that every optimizer passes through."""
