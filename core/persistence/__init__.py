"""The persistence room: what every fact of the bot becomes in the database, and back at start."""
