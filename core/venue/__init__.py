"""The venue room: its instruments, its wire format, and a whole simulated exchange."""
