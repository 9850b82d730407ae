"""Messages as bytes. No socket, thread, asyncio or clock in here: bytes in, bytes out."""
