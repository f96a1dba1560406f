"""Work that is not live: recordings, retention."""
