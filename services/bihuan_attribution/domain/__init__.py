"""The rules money follows: pure functions over frozen records, without I/O, clock or randomness."""
