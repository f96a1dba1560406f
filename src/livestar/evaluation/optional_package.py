"""Packages that only some evaluations need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from livestar.core.errors import FailedPrecondition


def require(module: str, extra: str) -> ModuleType:
    """Imports a module of an optional dependency.

    Raises:
        FailedPrecondition: it is not installed; says which extra brings it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise FailedPrecondition(
            f"the package '{package}' is not installed: run pip install 'livestar[{extra}]'"
        ) from error
