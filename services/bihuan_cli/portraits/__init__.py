"""What identity knows of one person, as a record, a tree for the terminal, Graphviz and SVG; never a raw identifier."""
