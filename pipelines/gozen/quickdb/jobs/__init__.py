"""Jobs on the caller's side, from a user's call to its result: plan, cache, engine, sampling, progress."""
