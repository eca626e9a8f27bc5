"""`schuss mnist`: train a small network on small images, once for each optimizer."""
