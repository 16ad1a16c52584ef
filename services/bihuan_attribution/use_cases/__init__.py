"""One async function an RPC or a consumer; what they need from outside stands in `ports`."""
