"""Rules of configuration and history that the tables of other files do not have: times of lines, limits of ports."""

from datetime import UTC, datetime

import pytest

from fswatch_builder.build.assembly import assemble, history_line
from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.model.image import Descriptor, History, Image, Layer, RunConfig
from tests.unit.build.planning import AMD64, config, created_by

LAYER = Layer(
    Descriptor("application/vnd.oci.image.layer.v1.tar", Digest.from_raw(bytes(32)), 1), DiffID.from_raw(bytes(32))
)

#: When a line was made; None for one of configuration.
Moment = int | None


def moment(second: Moment) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)


def lines(seconds: list[Moment]) -> list[History]:
    return [history_line("x", layer=second is not None, created=moment(second)) for second in seconds]


def assembled(base: list[Moment], own: list[Moment], epoch: int | None = None) -> Image:
    layers = [LAYER for second in (*base, *own) if second is not None]
    return assemble(AMD64, RunConfig(), "", layers, [*lines(base), *lines(own)], len(base), epoch)


@pytest.mark.parametrize(
    ("base", "own", "want"),
    [
        ([], [None, 5, None, 7, None], [5, 5, 5, 7, 7]),
        ([1], [None, 5], [5, 5]),
        ([1, 2], [None, None], [2, 2]),
        ([], [None], [None]),
    ],
    ids=["between layers", "above a base", "above a base, without a layer", "without any"],
)
def test_lines_of_configuration_take_the_time_of_a_layer(
    base: list[Moment], own: list[Moment], want: list[Moment]
) -> None:
    image = assembled(base, own)
    assert [line.created for line in image.history] == [moment(second) for second in (*base, *want)]
    assert image.created == moment(want[-1])


def test_an_epoch_is_the_time_of_new_lines_alone() -> None:
    image = assembled([3, None, 4], [None, 5], epoch=9)
    assert [line.created for line in image.history] == [moment(second) for second in (3, None, 4, 9, 9)]
    assert image.created == moment(9)


def test_the_first_and_the_last_port_and_all_protocols() -> None:
    text = "FROM scratch\nEXPOSE 0 65535/SCTP 7-8/udp\n"
    assert config(text).exposed_ports == ("0/tcp", "65535/sctp", "7/udp", "8/udp")
    assert created_by(text) == ["EXPOSE [0/tcp 65535/sctp 7/udp 8/udp]"]


def test_shell_is_used_by_the_commands_of_a_child_too() -> None:
    text = 'FROM scratch AS a\nSHELL ["/bin/bash", "-ec"]\nFROM a\nENTRYPOINT x\nCMD y\n'
    found = config(text)
    assert (found.entrypoint, found.cmd) == (("/bin/bash", "-ec", "x"), ("/bin/bash", "-ec", "y"))
