"""Every command of docker, and every option that those have which are ours too, is taken or refused with a reason."""

from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from fswatch_builder.cli.app import app
from fswatch_builder.cli.refused import COMMANDS, REFUSED

#: What `docker COMMAND --help` lists (docker 28); of prune, those of builder, image and system prune.
DOCKER = {
    "images": "-a --all --digests -f --filter --format --no-trunc -q --quiet --tree",
    "inspect": "-f --format --platform -s --size --type",
    "history": "--format -H --human --no-trunc --platform -q --quiet",
    "rmi": "-f --force --no-prune --platform",
    "load": "-i --input --platform -q --quiet",
    "save": "-o --output --platform",
    "prune": "-a --all -f --force --filter --keep-storage --reserved-space --max-used-space --min-free-space --volumes",
    "run": """
        --add-host --annotation -a --attach --blkio-weight --blkio-weight-device --cap-add --cap-drop --cgroup-parent
        --cgroupns --cidfile --cpu-count --cpu-percent --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime -c
        --cpu-shares --cpus --cpuset-cpus --cpuset-mems -d --detach --detach-keys --device --device-cgroup-rule
        --device-read-bps --device-read-iops --device-write-bps --device-write-iops --disable-content-trust --dns
        --dns-option --dns-search --domainname --entrypoint -e --env --env-file --expose --gpus --group-add --health-cmd
        --health-interval --health-retries --health-start-interval --health-start-period --health-timeout --help
        --hostname --init -i --interactive --io-maxbandwidth --io-maxiops --ip --ip6 --ipc --isolation --kernel-memory
        -l --label --label-file --link --link-local-ip --log-driver --log-opt --mac-address -m --memory
        --memory-reservation --memory-swap --memory-swappiness --mount --name --net --net-alias --network
        --network-alias --no-healthcheck --oom-kill-disable --oom-score-adj --pid --pids-limit --platform --privileged
        -p --publish -P --publish-all --pull --read-only --restart --rm --runtime --security-opt --shm-size --sig-proxy
        --stop-signal --stop-timeout --storage-opt --sysctl --tmpfs -t --tty --ulimit --use-api-socket -u --user
        --userns --uts -v --volume --volume-driver --volumes-from -w --workdir
    """,
}


def known(command: str) -> set[str]:
    parameters = get_command(app).commands[command].params  # type: ignore[attr-defined]
    return {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("command", DOCKER)
def test_an_option_of_docker_is_taken_or_refused_by_name(command: str) -> None:
    refused = set(REFUSED.get(command, {}))
    assert set(DOCKER[command].split()) - known(command) == refused
    assert not refused & known(command)


@pytest.mark.parametrize(("command", "flag"), [(one, flag) for one in DOCKER for flag in REFUSED.get(one, ())])
def test_a_refusal_says_why(command: str, flag: str) -> None:
    result = CliRunner().invoke(app, [command, flag, "x"])
    assert result.exit_code == (125 if command == "run" else 2)
    assert f"{flag}: {REFUSED[command][flag]}" in " ".join(result.output.split())


#: What `docker --help` lists besides the commands of ours, without those of swarms, contexts, volumes and networks.
OTHERS = """
    attach builder buildx commit container cp create exec export image import kill login logout logs manifest pause port
    ps pull push rename restart rm start stats stop system tag top unpause update wait
"""


@pytest.mark.parametrize("command", OTHERS.split())
def test_a_command_of_docker_that_there_is_not_is_told_with_the_way_there_is(command: str) -> None:
    result = CliRunner().invoke(app, [command, "x"])
    assert result.exit_code == 2
    assert f"Error: There is no {command}: {COMMANDS[command]}." in " ".join(result.output.split())


def test_a_command_that_nobody_has_is_told_with_those_like_it() -> None:
    result = CliRunner().invoke(app, ["biuld"])
    assert result.exit_code == 2
    assert "No such command 'biuld'. Did you mean 'build'?" in result.output


def ask(*arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), env=env)
    return result.exit_code, " ".join(result.output.split())


def test_options_without_a_value_take_true_and_false_in_every_command(tmp_path: Path) -> None:
    store = f"--store={tmp_path}"
    assert ask("images", store, "--quiet=true") == (0, "")
    assert ask("images", store, "-q=true", "--quiet=false") == (0, "REPOSITORY TAG IMAGE ID CREATED SIZE")
    assert ask("images", store, "--quiet=false", "-q") == (0, "")
    assert ask("images", store, "--quiet=perhaps")[0] == 2
    assert "no image x" in ask("history", store, "--human=false", "-H=false", "x")[1]
    assert "no image x" in ask("rmi", store, "--force=false", "x")[1]
    assert ask("prune", store, "--force=1")[0] == 0


def parsed(command: str, *arguments: str) -> dict[str, object]:
    """What a command line means, and what of it is left to the command."""
    return dict(get_command(app).commands[command].make_context(command, list(arguments)).params)  # type: ignore[attr-defined]


def test_false_on_the_command_line_beats_true_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSWATCH_BUILDER_NO_CACHE", "1")
    assert parsed("build", ".")["no_cache"] is True
    assert parsed("build", "--no-cache=false", ".")["no_cache"] is False
    assert parsed("build", "--no-cache=false", "--no-cache", ".")["no_cache"] is True


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        (["--rm=true"], "remove", True),
        (["-e", "--rm=true"], "env", ("--rm=true",)),
        (["-ie", "--tty=false"], "env", ("--tty=false",)),
        (["--env=A", "-t=false"], "tty", False),
        (["--tty=0", "-t"], "tty", True),
    ],
)
def test_what_is_behind_an_image_is_the_commands_own(options: list[str], name: str, value: object) -> None:
    found = parsed("run", *options, "image", "program", "--privileged", "--rm=false", "-t=1")
    assert found[name] == value
    assert found["command"] == ("program", "--privileged", "--rm=false", "-t=1")


@pytest.mark.parametrize("bad", [["--no-such"], [], ["--env"], ["--rm=perhaps", "x"]])
def test_a_wrong_command_line_of_run_is_told_from_a_status_of_the_command(bad: list[str]) -> None:
    assert ask("run", *bad)[0] == 125
