"""The HTTP routes of the control plane and of insight: wire to use cases and back; they decide nothing."""
