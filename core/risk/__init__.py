"""The only gate between a wish and an order."""
