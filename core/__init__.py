"""The pure core: message and time in, messages out.  No threads, sockets, files, clocks or logs."""
