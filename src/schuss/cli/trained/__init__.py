"""`schuss trained`: every optimizer on the same digits, as a table and a figure."""
