//! Reading the upper directory.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::index::Index;
use super::mount::Layers;
use crate::baseline::Baseline;
use crate::descent::{Descent, lstat, typed_names};
use crate::error::{Context, Error, Result};
use crate::hint::{HintSet, Scope};
use crate::path::RelPath;
use crate::root::Root;

/// Names in one directory of the upper that are told one by one; beyond, one hint for all its entries takes their place.
const NAMES: usize = 4096;

/// The upper directory of one overlay, and what was in it when the baseline was last right.
#[derive(Debug)]
pub struct Upper {
    root: Arc<Root>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    accounted: HintSet,
    index: Index,
}

impl Upper {
    /// `root` is the merged view that [`super::mount()`] returned, `baseline` describes it as it is.
    ///
    /// A character device 0/0 of the lower layer is a whiteout to overlayfs, and cannot be seen in the merged view: an
    /// image that has one is refused.
    pub fn new(root: Arc<Root>, baseline: &Baseline) -> Result<Self> {
        if let Some(path) = baseline.null_device() {
            return Err(Error::refused(
                path,
                "a character device 0/0, which overlayfs takes for a deleted file",
            ));
        }
        let accounted = read(layers(&root)?)?;
        let index = Index::new();
        Ok(Self {
            root,
            state: Mutex::new(State { accounted, index }),
        })
    }

    /// Where the merged view may differ from the last baseline, which is `baseline`: what is in the upper directory, what
    /// was in it, and every name of an inode that is in the index.
    pub fn settle(&self, baseline: &Baseline) -> Result<HintSet> {
        let layers = layers(&self.root)?;
        let mut hints = read(layers)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        hints.merge(state.accounted.clone());
        for ino in state.index.inodes(layers.index(), layers.lower())? {
            for name in baseline.names_with_ino(ino) {
                hints.add(name, Scope::Entry);
            }
        }
        Ok(hints)
    }

    /// The baseline is right again.
    pub fn advance(&self) -> Result<()> {
        let now = read(layers(&self.root)?)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.accounted = now;
        Ok(())
    }
}

fn layers(root: &Root) -> Result<&Layers> {
    root.layers()
        .ok_or_else(|| Error::refused(root.path(), "not the merged view of an overlay"))
}

/// All places that the upper directory says something about. Of a directory that shows nothing of the lower layer, or
/// another part of it than its path says, no more than that: it is told with all below it, and not read.
fn read(layers: &Layers) -> Result<HintSet> {
    let mut hints = HintSet::default();
    hints.add(RelPath::ROOT, Scope::Entry);
    // Not a duplicate, which would share its offset with whoever reads next.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let start = fs::openat(layers.upper(), ".", flags, Mode::empty()).during("openat", "")?;
    let mut descent = Descent::new(start, RelPath::ROOT);
    let mut left = vec![list(&descent, &mut hints)?];
    while let Some(directories) = left.last_mut() {
        let Some(name) = directories.pop() else {
            left.pop();
            descent.leave()?;
            continue;
        };
        descent.enter(&name)?;
        if is_own(&descent)? {
            hints.add(descent.path().clone(), Scope::Subtree);
            descent.leave()?;
        } else {
            hints.add(descent.path().clone(), Scope::Entry);
            left.push(list(&descent, &mut hints)?);
        }
    }
    Ok(hints)
}

/// Adds what is in one directory and no directory itself; returns the names of those that are.
fn list(descent: &Descent, hints: &mut HintSet) -> Result<Vec<Vec<u8>>> {
    let mut directories = Vec::new();
    let mut others = Vec::new();
    for (name, kind) in typed_names(descent.fd(), descent.path())? {
        let is_directory = match kind {
            // readdir(3): some file systems do not tell.
            FileType::Unknown => {
                let stat = lstat(descent.fd(), &name, descent.path())?;
                stat.is_some_and(|stat| {
                    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                })
            }
            kind => kind == FileType::Directory,
        };
        if is_directory {
            directories.push(name);
        } else {
            others.push(name);
        }
    }
    if others.len() > NAMES {
        hints.add(descent.path().clone(), Scope::Children);
    } else {
        for name in others {
            hints.add(descent.path().join(&name)?, Scope::Entry);
        }
    }
    Ok(directories)
}

/// Whether an upper directory is opaque or redirected: what is below it is not lower and upper at the same path.
fn is_own(descent: &Descent) -> Result<bool> {
    let has = |name: &str| -> Result<bool> {
        // The value does not matter: an opaque directory with `x` has whiteouts of another kind in it.
        let mut value = [0_u8; 1];
        match fs::fgetxattr(descent.fd().as_fd(), name, &mut value) {
            Ok(_) | Err(Errno::RANGE) => Ok(true),
            Err(Errno::NODATA) => Ok(false),
            Err(errno) => Err(errno).during("fgetxattr", descent.path()),
        }
    };
    Ok(has("trusted.overlay.opaque")? || has("trusted.overlay.redirect")?)
}
