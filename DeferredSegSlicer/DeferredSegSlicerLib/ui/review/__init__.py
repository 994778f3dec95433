"""The panel's sections for the reader: the review of what is deferred, and saving and exporting what came of it."""
