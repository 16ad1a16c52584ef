"""The contract's service: messages in, messages out; it decides nothing."""
