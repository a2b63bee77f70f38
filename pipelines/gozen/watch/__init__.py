"""A folder into which a camera writes: what arrives is reduced and appended, and pressure is seen (``gozen watch``)."""
