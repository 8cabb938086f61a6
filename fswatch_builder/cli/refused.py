"""Commands and options of docker, and for builds of buildah, that are refused, each with a reason: nobody has to guess.

Who makes one work takes it out of here. The lists of what the others have are in ``tests/unit/cli``, in
``test_build_flags.py`` and ``test_docker_flags.py``, which hold all of it together.
"""

from collections.abc import Mapping
from typing import Final

_NOT_YET: Final = "not supported yet"
_CACHE: Final = f"{_NOT_YET}: the step cache is the one in the local store (--store)"
_ATTESTATIONS: Final = f"{_NOT_YET}: no attestation is made"
_RUN: Final = f"{_NOT_YET}: a RUN has the sandbox's own settings (docs/security.md)"
_LIMITS: Final = f"{_NOT_YET}: start the builder itself in a cgroup with limits, such as with systemd-run"
_NO_DAEMON: Final = "there is no daemon and no builder instance: the build runs in this process"
_REGISTRY: Final = f"{_NOT_YET}: registries are spoken to with the settings of ~/.docker/config.json"

_BUILD: Final = {
    # docker buildx build
    "--attest": _ATTESTATIONS,
    "--builder": _NO_DAEMON,
    "--cache-from": _CACHE,
    "--cache-to": _CACHE,
    "--cgroup-parent": _LIMITS,
    "--debug": "there is no debugger: --progress plain tells all steps, --audit checks them",
    "-D": "there is no debugger: --progress plain tells all steps, --audit checks them",
    "--policy": f"{_NOT_YET}: sources are not checked against a policy",
    "--push": f"{_NOT_YET}: give -o type=oci,dest=image.tar and push that, with skopeo copy for one",
    # docker build, from the time before BuildKit
    "--compress": "there is no daemon to send the context to",
    "--cpu-period": _LIMITS,
    "--cpu-quota": _LIMITS,
    "--cpu-shares": _LIMITS,
    "-c": _LIMITS,
    "--cpuset-cpus": _LIMITS,
    "--cpuset-mems": _LIMITS,
    "--isolation": "a RUN is isolated in one way: namespaces and Docker's capabilities (docs/security.md)",
    "--memory": _LIMITS,
    "-m": _LIMITS,
    "--memory-swap": _LIMITS,
    "--security-opt": _RUN,
    # buildah build
    "--authfile": _REGISTRY,
    "--cap-add": f"{_NOT_YET}: a RUN has Docker's capabilities",
    "--cap-drop": f"{_NOT_YET}: a RUN has Docker's capabilities",
    "--cert-dir": _REGISTRY,
    "--cpp-flag": "a Dockerfile is not run through a preprocessor",
    "--creds": _REGISTRY,
    "--decryption-key": f"{_NOT_YET}: encrypted images are not read",
    "--device": _RUN,
    "--dns": _RUN,
    "--env": "a Dockerfile says ENV, a build --build-arg",
    "--format": "images are OCI ones; -o type=docker writes an archive for docker load",
    "--logfile": "progress goes to standard error: redirect it",
    "--manifest": "several platforms make an index by themselves: --platform A,B -t NAME",
    "--sign-by": f"{_NOT_YET}: images are not signed",
    "--tls-verify": _REGISTRY,
    "--unsetenv": "give a later ENV line, or a base without the variable",
    "--userns": _RUN,
    "--volume": "what a RUN may see is said in the Dockerfile: COPY it, or RUN --mount",
    "-v": "what a RUN may see is said in the Dockerfile: COPY it, or RUN --mount",
}

_RUN_COMMAND: Final = {
    flag: reason
    for reason, flags in {
        "a command sees the image and nothing of the host: hand files in through standard input, as with "
        "tar -c DIR | fswatch-builder run -i IMAGE tar -x": (
            "--volume -v --mount --volumes-from --volume-driver --tmpfs --storage-opt"
        ),
        "it has the host's network, or none: where it listens, it can be reached": (
            "--publish -p --publish-all -P --expose --link --link-local-ip --network-alias --net-alias --ip --ip6 "
            "--mac-address --dns --dns-option --dns-search --add-host --domainname"
        ),
        "nothing is left of it: it has no name, no log and no state": (
            "--name --cidfile --restart --label -l --label-file --annotation --log-driver --log-opt --health-cmd "
            "--health-interval --health-retries --health-start-interval --health-start-period --health-timeout "
            "--no-healthcheck"
        ),
        "start fswatch-builder itself in a cgroup with limits, such as with systemd-run": (
            "--memory -m --memory-reservation --memory-swap --memory-swappiness --kernel-memory --oom-kill-disable "
            "--oom-score-adj --pids-limit --cgroup-parent --cpus --cpu-shares -c --cpu-count --cpu-percent "
            "--cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime --cpuset-cpus --cpuset-mems --blkio-weight "
            "--blkio-weight-device --device-read-bps --device-read-iops --device-write-bps --device-write-iops "
            "--io-maxbandwidth --io-maxiops"
        ),
        "it has the sandbox of a RUN, with its settings (docs/security.md)": (
            "--privileged --cap-add --cap-drop --security-opt --device --device-cgroup-rule --gpus --pid --ipc --uts "
            "--userns --cgroupns --runtime --sysctl --group-add --ulimit --shm-size --isolation --use-api-socket"
        ),
        "it ends when this command does, and nothing of it runs on": "--detach -d --detach-keys",
        "its standard output and error are this command's": "--attach -a --sig-proxy",
        "the command itself is the first process of its namespace, and all others end with it": "--init",
        "its root file system is its own, and goes with all that was changed": "--read-only",
        "it runs an image of the local store: load brings one, and so does a build": "--pull --disable-content-trust",
        "SIGTERM and SIGHUP end it at once, and Ctrl-C where there is no terminal": "--stop-signal --stop-timeout",
    }.items()
    for flag in flags.split()
}

#: Commands of docker, podman and buildah that there are not.
COMMANDS: Final[Mapping[str, str]] = {
    command: reason
    for reason, commands in {
        "a build pulls what it begins with, and with --pull asks for what is newer": "pull",
        f"{_NOT_YET}: build -o type=oci,dest=image.tar, or save, and push that, with skopeo copy for one": "push",
        "a build names its image, with -t; of an image that is there: FROM it": "tag untag",
        "registries are spoken to with what docker login, podman login or skopeo login leaves in "
        "~/.docker/config.json": "login logout",
        "a root file system archive is a base: build --build-context NAME=FILE, and FROM NAME": "import",
        "build -o DIR, or -o type=tar,dest=FILE, gives the files of an image": "export",
        "cat prints a file of an image, and build -o DIR gives all of them": "cp mount",
        "it is called build": "bud buildx",
        "it is called rmi, or prune": "rm",
        "commands stand alone: images, inspect, history, load, save, rmi, prune": "image builder system manifest",
        "run runs a command in an image, and nothing is left of it: there are no containers to come back to": (
            "attach commit container create exec kill logs pause port ps rename restart start stats stop top unpause "
            "update wait"
        ),
    }.items()
    for command in commands.split()
}

#: By command, then by option.
REFUSED: Final[Mapping[str, Mapping[str, str]]] = {
    "build": _BUILD,
    "run": _RUN_COMMAND,
    "images": {"--tree": "an image is a line, those for several platforms too: --json has all there is to know"},
    "rmi": {
        "--no-prune": "with its last name an image goes, and with it what no other one, no build and no step needs",
        "--platform": "a name stands for its images for all platforms, and goes with them",
    },
    "prune": {
        "--max-used-space": "--keep-storage says how much may stay",
        "--min-free-space": "--keep-storage says how much may stay",
        "--volumes": "there are no volumes, and cache mounts go without asking for it",
    },
}
