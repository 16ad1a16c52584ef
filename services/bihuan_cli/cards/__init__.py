"""Model cards as pages: plots drawn without any other program, and the page around them."""
