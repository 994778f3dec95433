"""Steps that walk through the module in a real Slicer; run.py says in which order."""
