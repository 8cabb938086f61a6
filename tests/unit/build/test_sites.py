"""Root file systems go when nobody needs them any more."""

import pytest

from fswatch_builder.build.sites import Sites
from tests.unit.build.planning import planned

#: 0 goes into 1 and 2, those into 3, which nobody needs.
TEXT = """FROM scratch AS a
FROM a AS b
FROM scratch AS c
COPY --from=a /f /
FROM scratch
COPY --from=b /f /
RUN --mount=from=c true
"""


class Site:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_each_goes_when_the_last_that_takes_from_it_is_done() -> None:
    stages = planned(TEXT).stages
    with Sites(stages, Site) as sites:  # type: ignore[arg-type]
        open_ones = [sites.open(stage) for stage in stages]
        closed = []
        for stage in (stages[0], stages[2], stages[1], stages[3]):
            sites.done(stage)
            closed.append([site.closed for site in open_ones])  # type: ignore[attr-defined]
    assert closed == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
    assert [site.closed for site in open_ones] == [1, 1, 1, 1]  # type: ignore[attr-defined]


def test_all_go_at_the_end_whatever_happened() -> None:
    class Stubborn(Site):
        def close(self) -> None:
            super().close()
            raise OSError("busy")

    stages = planned(TEXT).stages
    with pytest.raises(OSError, match="busy"), Sites(stages, Stubborn) as sites:  # type: ignore[arg-type]
        open_ones = [sites.open(stage) for stage in stages]
    assert [site.closed for site in open_ones] == [1, 1, 1, 1]  # type: ignore[attr-defined]
