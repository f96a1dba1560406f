"""Protos and the library's own values, each as the other. Only `tensors` and `watching` load torch."""
