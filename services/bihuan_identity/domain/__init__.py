"""What identity is about: namespaces, keyed identifiers, evidence, and the rules that turn evidence into persons."""
