"""
What every service of Bihuan is built on: errors, settings, caller roles, time, money, tokens, stores, the gRPC runtime.

Nothing here knows a service. Modules that a domain may import (`errors`, `callers`, `clock`, `money`, `tokens`) pull in
no framework.
"""
