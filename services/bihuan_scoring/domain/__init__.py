"""Rules of scoring: what is known, what features say, how a linear model is applied, what an audience is. No I/O."""
