"""The data plane's HTTP routes: wire to use cases and back; they decide nothing."""
