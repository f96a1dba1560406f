"""The command line, and watching a video in this process."""
