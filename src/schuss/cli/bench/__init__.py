"""`schuss bench`: how long a step takes, side by side with other implementations and a floor."""
