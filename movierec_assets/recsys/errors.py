"""What this room raises when data cannot be learned from."""


class RecsysError(ValueError):
    """The input cannot be split, fitted or scored; the message says why and what to do."""
