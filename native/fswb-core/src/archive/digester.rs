//! SHA-256 of a stream in a thread of its own: whoever works with the bytes need not wait for their digest.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest as _, Sha256 as Hasher};

use crate::entry::Sha256;
use crate::error::{Context, Error, Result};

/// A digest in the making. Dropped before its end, it is forgotten, and so is its thread.
pub(super) struct Digester {
    pieces: SyncSender<Arc<Vec<u8>>>,
    thread: JoinHandle<Sha256>,
}

impl Digester {
    pub(super) fn new() -> Result<Self> {
        // No queue: when a piece is taken, the one before is done with, and its owner may use it again.
        let (pieces, taken) = sync_channel(0);
        let thread = thread::Builder::new()
            .name("layer-digest".into())
            .spawn(move || digest(&taken))
            .during("pthread_create", "")?;
        Ok(Self { pieces, thread })
    }

    /// Goes on with a piece, to be held unchanged until the next one was taken.
    pub(super) fn update(&self, piece: &Arc<Vec<u8>>) -> Result<()> {
        self.pieces.send(Arc::clone(piece)).map_err(|_| stopped())
    }

    /// The digest of all pieces.
    pub(super) fn finish(self) -> Result<Sha256> {
        drop(self.pieces);
        self.thread.join().map_err(|_| stopped())
    }
}

fn stopped() -> Error {
    Error::system("read", "", rustix::io::Errno::CANCELED)
}

fn digest(pieces: &Receiver<Arc<Vec<u8>>>) -> Sha256 {
    let mut hasher = Hasher::new();
    for piece in pieces {
        hasher.update(&*piece);
    }
    hasher.finalize().into()
}
