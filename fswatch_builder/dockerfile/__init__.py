"""Text becomes instructions: parsing, variable expansion, ignore files."""

from fswatch_builder.dockerfile.parser import ParseError, parse

__all__ = ["ParseError", "parse"]
