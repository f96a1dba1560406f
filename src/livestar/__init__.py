"""LiveStar: watches live video and speaks at the right moment (arXiv 2511.05299)."""

__version__ = "0.1.0"
