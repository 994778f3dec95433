"""What the sections of the review say and when their buttons work, in plain Python: no Qt, no scene."""
