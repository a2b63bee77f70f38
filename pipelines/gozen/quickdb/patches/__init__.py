"""The pieces of tables that a user's function gets: which there are, what they offer, how their columns are read."""
