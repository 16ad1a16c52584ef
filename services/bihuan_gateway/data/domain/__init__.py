"""Pure rules of the data plane: the auction, prices, eligibility, ids. No I/O, no clock, no randomness."""
