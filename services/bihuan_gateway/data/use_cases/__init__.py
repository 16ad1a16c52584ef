"""What the data plane does, one module a route family, against the ports of `bihuan_gateway.data.ports`."""
