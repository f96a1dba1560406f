"""Values of the library as protos, and back: what services send each other.

`events`, `ledger` and `policy` never reach torch; `tensors`, `settings` and `snapshot` do, so they are imported by name.
"""
