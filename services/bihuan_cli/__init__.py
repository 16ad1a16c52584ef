"""
The `bihuan` command: the whole platform on one machine, data loading, jobs and the demonstration.

It talks to the services through their public interfaces only, and owns no data but its own state folder (`.bihuan/`).
"""
