"""The limit of watches: one for a user and user namespace, counted upwards too, and told apart by errno."""

from tests.support.namespace import run_limited

WATCHES = """
import errno
from inotify_simple import INotify, flags
with INotify() as inotify:
    added = 0
    try:
        for number in range(100):
            os.makedirs(f"{sys.argv[2]}/{number}", exist_ok=True)
            inotify.add_watch(f"{sys.argv[2]}/{number}", flags.CREATE)
            added += 1
    except OSError as error:
        print(json.dumps([added, errno.errorcode[error.errno]]))
"""


def test_the_limit_of_watches_is_enospc(tmp_path: object) -> None:
    assert run_limited(WATCHES, str(tmp_path), max_inotify_watches=7) == [7, "ENOSPC"]


def test_the_limit_of_instances_is_emfile() -> None:
    script = """
import errno
from inotify_simple import INotify
held = []
try:
    while True:
        held.append(INotify())
except OSError as error:
    print(json.dumps([len(held), errno.errorcode[error.errno]]))
"""
    assert run_limited(script, max_inotify_instances=3) == [3, "EMFILE"]


def test_a_nested_namespace_cannot_escape_the_outer_limit(tmp_path: object) -> None:
    script = f"""
import subprocess
inner = ["unshare", "--user", "--map-root-user", sys.executable, "-c", "import json, os, sys\\n" + {WATCHES!r}]
done = subprocess.run([*inner, "", sys.argv[2]], capture_output=True, text=True, check=True)
print(done.stdout)
"""
    assert run_limited(script, str(tmp_path), max_inotify_watches=5) == [5, "ENOSPC"]
