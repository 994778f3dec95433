"""What the panel says, as plain Python: texts, rows, and why a button is disabled. No Qt, no scene."""
