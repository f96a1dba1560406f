"""Stubs of the protos, generated: nothing here is written by hand."""
