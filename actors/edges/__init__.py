"""The only modules that touch the world: venue client, database, files, sockets, system clock."""
