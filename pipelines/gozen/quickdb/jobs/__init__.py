"""One job from a user's call to its result, on the caller's side: plan, cache, engine, sampling, progress."""
