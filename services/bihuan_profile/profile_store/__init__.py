"""Where records are kept: Redis, and memory with the same contract for tests and trials."""
