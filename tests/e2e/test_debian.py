"""Real input: a Debian root file system, a package installed with apt, many files with old times, a compiled program.

What we built is read by tools that know nothing of us: skopeo, umoci, runc. The root file system of the build describes
itself in its last RUN (``/manifest``), and what umoci unpacks must describe itself the same.
"""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.cli import fswatch_builder
from tests.support.debian import debian_tar, missing_tools
from tests.support.overlays import OVERLAY

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        bool(missing_tools("mmdebstrap", "skopeo", "umoci", "runc")),
        reason=f"not installed: {', '.join(missing_tools('mmdebstrap', 'skopeo', 'umoci', 'runc'))}",
    ),
]

# Kind, mode, owner, group, mtime, target, and for files size, links and content. Sizes and link counts of directories
# belong to the file system; what is mounted for a RUN and the listing itself are left out.
_LEFT_OUT = ["/proc", "/sys", "/dev", "/manifest", "/etc/resolv.conf", "/etc/hosts"]
_FIND = rf"find / -mindepth 1 \( {' -o '.join(f'-path {path}' for path in _LEFT_OUT)} \) -prune"
DESCRIBE = (
    f"export LC_ALL=C; {{ {_FIND} -o -type f -print0 | sort -z | xargs -0 sha256sum; {_FIND}"
    r" -o -type f -printf '%p|f|%m|%U|%G|%Ts|%s|%n\n' -o -printf '%p|%y|%m|%U|%G|%Ts|%l\n' | sort; }"
)


@pytest.fixture(scope="module")
def debian() -> str:
    return debian_tar()


def unpack(layout: Path, tag: str, bundle: Path) -> Path:
    """The image as umoci unpacks it; the path of its root."""
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:{tag}", str(bundle)], check=True, capture_output=True)
    return bundle / "rootfs"


def assert_describes_itself(rootfs: Path) -> None:
    described = subprocess.run(["chroot", rootfs, "sh", "-c", DESCRIBE], check=True, capture_output=True)
    recorded = (rootfs / "manifest").read_bytes()
    assert len(recorded.splitlines()) > 1000
    assert described.stdout.splitlines() == recorded.splitlines()


@pytest.mark.parametrize("tracker", ["inotify", "scan", OVERLAY])
def test_a_package_installed_with_apt_unpacks_to_the_rootfs_it_was_built_in(
    debian: str, tmp_path: Path, tracker: str
) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM base\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends hello\n"
        "RUN rm -rf /var/lib/apt/lists /usr/share/doc/hello && hello > /greeting\n"
        f"RUN {DESCRIBE} > /manifest\n"
        'CMD ["hello"]\n'
    )
    layout = tmp_path / "layout"
    done = fswatch_builder(
        *("build", "--build-context", f"base={debian}", "--tracker", tracker, "--store", f"{tmp_path}/store"),
        *("-t", "hello:latest", "--progress", "plain"),
        *("--output", f"type=oci,dest={layout},tar=false", str(tmp_path)),
    )
    said = done.stdout + done.stderr
    assert "Setting up hello" in said
    inspected = json.loads(subprocess.check_output(["skopeo", "inspect", f"oci:{layout}:latest"]))
    assert len(inspected["Layers"]) == 4
    rootfs = unpack(layout, "latest", tmp_path / "bundle")
    assert (rootfs / "greeting").read_text() == "Hello, world!\n"
    assert not (rootfs / "var/lib/apt/lists").exists()
    assert_describes_itself(rootfs)


def test_many_files_with_old_times_are_all_in_the_layer(debian: str, tmp_path: Path) -> None:
    archive = tmp_path / "many.tar"
    with tarfile.open(archive, "w") as tar:
        for number in range(8000):
            if number % 100 == 0:
                directory = tarfile.TarInfo(f"tree/d{number // 100}")
                directory.type, directory.mode, directory.mtime = tarfile.DIRTYPE, 0o755, 1_000_000_000
                tar.addfile(directory)
            member = tarfile.TarInfo(f"tree/d{number // 100}/f{number}")
            member.mtime = 1_000_000_000 + number
            tar.addfile(member)
    (tmp_path / "Dockerfile").write_text(
        "FROM base\n"
        "COPY many.tar /many.tar\n"
        "RUN mkdir /opt/many && tar -xf /many.tar -C /opt/many\n"
        "RUN rm -r /opt/many/tree/d7 && chmod 600 /opt/many/tree/d8/*\n"
        f"RUN {DESCRIBE} > /manifest\n"
    )
    layers = {}
    for tracker in ("inotify", "scan"):
        layout = tmp_path / tracker
        fswatch_builder(
            *(
                "build",
                "--build-context",
                f"base={debian}",
                "--tracker",
                tracker,
                "--store",
                f"{tmp_path}/store-{tracker}",
            ),
            *("-t", "many:latest", "--output", f"type=oci,dest={layout},tar=false", str(tmp_path)),
        )
        rootfs = unpack(layout, "latest", tmp_path / f"bundle-{tracker}")
        assert_describes_itself(rootfs)
        assert sum(len(files) for _, _, files in os.walk(rootfs / "opt/many")) == 7900
        assert int((rootfs / "opt/many/tree/d3/f301").stat().st_mtime) == 1_000_000_301
        layers[tracker] = len(
            json.loads(subprocess.check_output(["skopeo", "inspect", f"oci:{layout}:latest"]))["Layers"]
        )
    assert layers == {"inotify": 5, "scan": 5}


def test_a_program_compiled_in_one_stage_runs_from_scratch(debian: str, tmp_path: Path) -> None:
    (tmp_path / "hello.c").write_text('#include <stdio.h>\nint main(void) { puts("built by a stage"); return 0; }\n')
    (tmp_path / "Dockerfile").write_text(
        "FROM base AS compile\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev\n"
        "WORKDIR /src\n"
        "COPY hello.c .\n"
        "RUN gcc -static -Os -o /hello hello.c\n"
        "FROM scratch\n"
        "COPY --from=compile /hello /hello\n"
        'ENTRYPOINT ["/hello"]\n'
    )
    layout = tmp_path / "layout"
    fswatch_builder(
        *("build", "--build-context", f"base={debian}", "--store", f"{tmp_path}/store", "-t", "hello:latest"),
        *("--output", f"type=oci,dest={layout},tar=false", str(tmp_path)),
    )
    bundle = tmp_path / "bundle"
    rootfs = unpack(layout, "latest", bundle)
    assert [path.name for path in rootfs.iterdir()] == ["hello"]
    config = json.loads((bundle / "config.json").read_text())
    assert config["process"]["args"] == ["/hello"]
    config["process"]["terminal"] = False
    (bundle / "config.json").write_text(json.dumps(config))
    ran = subprocess.run(
        ["runc", "--root", f"{tmp_path}/runc", "run", "--bundle", str(bundle), f"hello-{os.getpid()}"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "built by a stage\n"), ran.stderr
