"""The routes, one module per prefix."""
