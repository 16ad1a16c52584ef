"""
The gRPC runtime: one server assembly and one client assembly.

Invariants: a method without a listed role refuses everyone; a request reaches a handler only when it keeps the rules
of its proto; every failure leaves as a typed status; every call has a deadline.
"""
