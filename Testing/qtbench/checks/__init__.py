"""Static checks: widget code and `.ui` files against the table of a real Slicer, and against Qt 6."""
