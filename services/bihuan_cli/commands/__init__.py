"""One file a group of commands; each only parses options, calls the work, and prints."""
