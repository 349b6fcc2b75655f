"""From an approval to a protected position, and back to flat."""
