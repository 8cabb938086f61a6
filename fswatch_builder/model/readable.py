"""Text that may hold bytes: paths and commands of a Dockerfile do (surrogates, PEP 383), documents cannot."""


def readable(text: str) -> str:
    """For people and for documents: what is no UTF-8 is replaced, as Go's JSON does it for BuildKit."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
