"""How much content a comparison reads."""

from typing import Literal

#: ``evidence``: files whose stat evidence is not conclusive. ``all``: every file looked at.
#: ``none``: nothing; times and sizes decide, and a change that keeps both is missed.
HashMode = Literal["evidence", "all", "none"]
