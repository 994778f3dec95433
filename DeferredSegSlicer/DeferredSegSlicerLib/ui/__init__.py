"""What the radiologist sees: sections of the panel, and presenters in plain Python that decide what they show."""
