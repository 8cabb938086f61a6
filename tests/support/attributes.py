"""Extended attributes in unusual numbers."""

import os
from itertools import count

_LISTED = 65_536  # XATTR_LIST_MAX of linux/limits.h


def more_than_are_listed(path: str | os.PathLike[str]) -> list[str]:
    """Gives ``path`` attributes until their names are more than any call lists; the last name is the one too many.

    Only root may: on a tmpfs users set few.
    """
    names: list[str] = []
    length = 0
    for number in count():
        name = f"trusted.{number:03}{'n' * 239}"
        os.setxattr(path, name, b"x")
        names.append(name)
        length += len(name) + 1
        if length > _LISTED:
            return names
    raise AssertionError
