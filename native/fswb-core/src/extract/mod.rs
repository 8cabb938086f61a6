//! Unpacking: a layer over a root file system, an archive of ADD into a directory of it.
//!
//! Whatever the archive says, nothing is touched outside the root: directories are opened beneath it without following
//! links ([`crate::root`]), and everything else is done to a name in an open directory.
//!
//! Order of metadata, for one entry: content, owner (which clears set-user-ID and capabilities), mode, extended attributes
//! (capabilities among them), times. Times of directories come last of all, since every new entry moves them. Of a layer's
//! file all but the making, and the writing if it is large, is done in another thread, by its descriptor (`record`).

mod add;
mod brought;
mod clone;
mod file;
mod layer;
mod meaning;
mod metadata;
mod place;
mod record;
mod remove;
mod tree;

#[cfg(test)]
mod tests;

pub use add::{Added, add_archive};
pub use clone::clone_tree;
pub use layer::{UnpackedLayer, unpack_layer};
pub(crate) use meaning::Meaning;
pub(crate) use place::{check_target, linked_path, links_to_nothing, on_the_way};
