"""What identity does, one module a concern, in terms of the ports of `ports.py`."""
