"""The child process that runs networks, and the client that starts, watches, cancels and ends it."""
