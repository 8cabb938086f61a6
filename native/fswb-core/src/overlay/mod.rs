//! Steps on an overlay (Documentation/filesystems/overlayfs.rst): the unpacked root file system is the lower layer and is
//! never written to; what the steps change lies in the upper directory, which is the evidence.
//!
//! [`mount()`] makes the merged view, which is mounted nowhere: it hangs on descriptors of this process and is gone with
//! them, however the process ends. [`Upper`] reads the upper directory and says where to look. It never says what changed:
//! an upper directory holds more than the changes (copied-up parents, files opened for writing and left alone) and, after
//! several steps, less than one may think (what an earlier step made and this one removed leaves nothing behind).
//!
//! Why this misses nothing is argued in `fswatch_builder/tracking/README.md`.

mod index;
mod mount;
mod upper;

pub use mount::{Layers, mount};
pub use upper::Upper;
