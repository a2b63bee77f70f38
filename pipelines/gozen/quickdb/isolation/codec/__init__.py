"""Encoding of values between a worker and an isolated child: plain data, lengths checked, nothing is executed."""
