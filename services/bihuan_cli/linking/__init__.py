"""`bihuan identity link-records`: runs the linkage, tells identity what it found, and reports."""
