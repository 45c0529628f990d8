"""What every service shares: the edge of an ASGI application, its errors, its metrics, its process."""
