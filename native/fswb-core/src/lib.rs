//! What the builder does to the file system, in bulk. There is no Python in this crate.
//!
//! Read it in the order of a build: [`root`] opens a root file system so that nothing leaves it, [`extract`] unpacks a
//! layer into it and records every entry in the [`baseline`], [`inotify`] watches its directories while [`sandbox`] runs
//! a command, [`reconcile`] compares the places the watcher named with the baseline, [`layer`] packs what changed.
//! [`witness`] tells a watcher of hard links that a command made.
//! [`command`] runs one on the host.
//! [`stack`] reads layers as one tree without unpacking them.
//! [`copy`] is the road of COPY and ADD, whose list of written paths replaces the watcher's.

pub mod archive;
pub mod baseline;
pub mod change;
pub mod clock;
mod clocks;
pub mod command;
pub mod copy;
pub mod descent;
pub mod directory;
pub mod entry;
pub mod error;
pub mod exchange;
pub mod extract;
pub mod fanotify;
pub mod glob;
mod handle;
mod handover;
pub mod hash;
mod heat;
pub mod hint;
pub mod ignore;
pub mod inotify;
pub mod kernel;
pub mod layer;
pub mod mounted;
mod opening;
pub mod overlay;
pub mod path;
mod reader;
pub mod reconcile;
pub mod remove;
pub mod root;
pub mod sandbox;
pub mod stack;
pub mod witness;
mod xattrs;
