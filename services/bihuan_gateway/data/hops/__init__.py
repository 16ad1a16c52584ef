"""The data plane's ports over gRPC: one module a service, each call merged with others that wait for the same hop."""
