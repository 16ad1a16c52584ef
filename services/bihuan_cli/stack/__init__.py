"""Starts engines and services as processes of this machine, watches them and ends them."""
