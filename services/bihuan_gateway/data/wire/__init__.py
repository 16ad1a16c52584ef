"""What the data plane's HTTP bodies look like: msgspec structs, strict, no unknown fields."""
