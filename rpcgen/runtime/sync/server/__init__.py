"""Server and ThreadServer: a loop that accepts and watches, threads that answer."""
