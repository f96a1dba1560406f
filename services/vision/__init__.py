"""Encodes frames, batched over streams; stateless."""
