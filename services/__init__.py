"""One folder per deployable; `python -m services NAME` starts any. Services never import each other."""
