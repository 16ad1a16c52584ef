"""What scoring can be asked for: one function an RPC, against ports."""
