"""
Probabilistic record linkage in batch: which records of one or two files are of the same person, and how surely.

A job that runs apart from the service and is not imported by it. It reads files, never the graph; what it finds goes to
the service as evidence, by `Link`. Splink (the extra `linkage`) does the statistics, on DuckDB or Spark.
"""
