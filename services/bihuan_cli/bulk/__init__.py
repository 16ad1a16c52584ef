"""
Behaviour and attributes from files into profiles, and profiles into files.

A row is loaded whole or not at all and says nothing about other rows. What is sent twice counts once: behaviour by its
event id, attributes by their time.
"""
