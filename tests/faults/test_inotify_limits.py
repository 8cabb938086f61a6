"""Limits reached, in a user namespace: the host's own stay as they are."""

from pathlib import Path

from tests.support.namespace import run_limited

ARM = """
from fswatch_builder._native import Rootfs
from fswatch_builder.tracking.strategies.inotify import InotifyTracker
from tests.support.hints import baseline_of
root = sys.argv[2]
rootfs = Rootfs(os.fsencode(root))
baseline = baseline_of(rootfs)
def shown(hints):
    return [[reason, path.decode()] for reason, path in hints.losses]
def step(session):
    changes = baseline.reconcile(rootfs, session.settle())
    baseline.advance(changes)
    session.advance(baseline, changes)
"""


def test_directories_beyond_the_limit_are_a_loss_at_every_settle(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"d{number:02}/below").mkdir(parents=True)
    script = """
from inotify_simple import INotify
from fswatch_builder._native import Watches
inotify = INotify()
watches = Watches(inotify.fileno())
watches.arm(rootfs, baseline)
print(json.dumps([watches.count, shown(watches.settle()), shown(watches.settle())]))
"""
    count, first, second = run_limited(ARM + script, str(tmp_path), max_inotify_watches=11)
    assert count == 11  # the root and five pairs
    assert first == [["watch-limit", f"d{number:02}"] for number in range(5, 20)]
    assert second == first


def test_a_new_directory_beyond_the_limit_is_a_loss_until_another_is_removed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    script = """
from inotify_simple import INotify
from fswatch_builder._native import Watches
inotify = INotify()
watches = Watches(inotify.fileno())
watches.arm(rootfs, baseline)
seen = [shown(watches.settle())]
os.makedirs(f"{root}/c/d")
step(watches)
seen.append(shown(watches.settle()))
os.rmdir(f"{root}/a")
os.rmdir(f"{root}/b")
step(watches)
seen.append(shown(watches.settle()))
open(f"{root}/c/d/f", "w").close()
seen.append([[path.decode(), scope] for path, scope in watches.settle().hints])
print(json.dumps(seen))
"""
    at_first, full, roomy, hints = run_limited(ARM + script, str(tmp_path), max_inotify_watches=3)
    assert at_first == []
    assert full == [["watch-limit", "c"]]
    assert roomy == []
    assert hints == [["c/d", "entry"], ["c/d/f", "entry"]]


def test_the_tracker_leaves_a_part_of_a_tight_limit_to_others(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"d{number:02}").mkdir()
    script = """
session = InotifyTracker().arm(rootfs, baseline)
print(json.dumps([session.watches.count, len(session.settle().losses)]))
"""
    count, losses = run_limited(ARM + script, str(tmp_path), max_inotify_watches=32)
    assert (count, losses) == (28, 41 - 28)


def test_stages_that_are_built_at_once_leave_it_together(tmp_path: Path) -> None:
    """The first has grown to its budget, half of the limit. The second is as small as the first was, and grows too."""
    for name in ("a", "b"):
        (tmp_path / name / "d").mkdir(parents=True)
    script = """
from fswatch_builder.tracking import limits
limits.watches_in_use = lambda uid, but: 0  # other programs may hold some, or not
tracker = InotifyTracker()
def grown(name):
    place = os.path.join(root, name)
    rootfs = Rootfs(os.fsencode(place))
    baseline = baseline_of(rootfs)
    session = tracker.arm(rootfs, baseline)
    for number in range(80):
        os.mkdir(os.path.join(place, str(number)))
    changes = baseline.reconcile(rootfs, session.settle())
    baseline.advance(changes)
    session.advance(baseline, changes)
    return session
first = grown("a")
second = grown("b")
counts = [first.watches.count, second.watches.count]
losses = [len(session.settle().losses) for session in (first, second)]
first.close()
third = tracker.arm(rootfs, baseline)
print(json.dumps([counts, losses, third.watches.count]))
"""
    counts, losses, third = run_limited(ARM + script, str(tmp_path), max_inotify_watches=80)
    assert counts == [40, 30]
    assert losses == [82 - 40, 82 - 30]
    assert third == 5


def test_no_instance_left_is_said_by_the_probe(tmp_path: Path) -> None:
    script = """
capability = InotifyTracker().probe(rootfs)
print(json.dumps([capability.usable, capability.reason]))
"""
    usable, reason = run_limited(ARM + script, str(tmp_path), max_inotify_instances=0)
    assert not usable
    assert "max_user_instances" in reason


def test_no_watch_left_is_said_by_the_probe(tmp_path: Path) -> None:
    script = """
capability = InotifyTracker().probe(rootfs)
print(json.dumps([capability.usable, capability.reason]))
"""
    usable, reason = run_limited(ARM + script, str(tmp_path), max_inotify_watches=0)
    assert not usable
    assert reason == "the limit of inotify watches is reached"
