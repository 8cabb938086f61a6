use super::*;
use crate::clock::{Clock, Ticks};
use crate::extract::layer::unpack_by;

fn racy_by(ticks: Ticks) -> Vec<(RelPath, bool)> {
    let clock = Clock {
        ticks,
        shows_stores: true,
    };
    let mut rootfs = Rootfs::new();
    let layer = tar()
        .directory("d")
        .file("d/f", "content")
        .hard_link("g", "d/f")
        .symlink("l", "d/f")
        .file("unlisted/f", "")
        .end();
    let Rootfs { root, baseline, .. } = &mut rootfs;
    unpack_by(clock, root, baseline, layer.as_slice(), Limits::default()).unwrap();
    let paths = baseline.paths().chain([RelPath::ROOT]);
    paths
        .map(|path| (path.clone(), baseline.entry(&path).unwrap().racy))
        .collect()
}

#[test]
fn on_a_coarse_clock_no_entry_is_believed_that_was_written_in_the_tick_of_its_stat() {
    let racy = racy_by(Ticks::Coarse(0));
    assert_eq!(racy.len(), 7);
    assert!(racy.iter().all(|(_, racy)| *racy), "{racy:?}");
    let racy = racy_by(Ticks::Unknown);
    assert!(racy.iter().all(|(_, racy)| *racy), "{racy:?}");
}

#[test]
fn evidence_from_before_the_current_tick_is_believed() {
    for ticks in [Ticks::Coarse(i64::MAX), Ticks::Multigrain] {
        let racy = racy_by(ticks);
        assert!(racy.iter().all(|(_, racy)| !*racy), "{racy:?}");
    }
}
