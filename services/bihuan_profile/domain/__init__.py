"""Pure rules of profiles: no I/O, no clock, no randomness. One file a concept."""
