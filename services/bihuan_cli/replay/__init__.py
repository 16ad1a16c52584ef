"""Replays real data sets through the gateway, on a clock that follows the data."""
