"""What is known of a user's function without running it: its digest, what it holds, whether its results may be kept."""
