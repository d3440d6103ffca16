"""Every error on purpose: what happened, why, how to fix it, and which file to open."""


class LakehouseError(Exception):
    """An error the user can act on; the command prints it without a traceback and exits 1."""
