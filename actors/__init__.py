"""What lives: actors, their runtime, their supervision, and the edges to the world."""
