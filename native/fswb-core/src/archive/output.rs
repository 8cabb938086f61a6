//! Where an archive is written: digested and written by a thread of its own, while the next piece is being read.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest as _, Sha256 as Hasher};

use crate::archive::{BLOCK, Digested};
use crate::error::{Context, Error, Result};

/// A piece goes out once it has so many bytes.
pub(crate) const PIECE: usize = 256 * 1024;
/// Pieces on the way to the writer: one being written, one waiting.
const QUEUE: usize = 1;

/// An archive being written.
pub(crate) struct Output<'a> {
    interrupted: &'a dyn Fn() -> Result<()>,
    buffer: Vec<u8>,
    full: Option<SyncSender<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
    writer: Option<JoinHandle<Result<Digested>>>,
}

impl<'a> Output<'a> {
    /// `interrupted` is asked before each piece; its error ends the work.
    pub(crate) fn new(
        output: impl Write + Send + 'static,
        interrupted: &'a dyn Fn() -> Result<()>,
    ) -> Result<Self> {
        let (full, pieces) = sync_channel(QUEUE);
        let (used, empty) = sync_channel(QUEUE + 2);
        let writer = thread::Builder::new()
            .name("layer-writer".into())
            .spawn(move || write_pieces(output, &pieces, &used))
            .during("pthread_create", "")?;
        Ok(Self {
            interrupted,
            buffer: Vec::with_capacity(2 * PIECE),
            full: Some(full),
            empty,
            writer: Some(writer),
        })
    }

    /// Where the next bytes are put. Call [`Self::spill`] after every piece.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Hands over what has come together, if it is enough.
    pub(crate) fn spill(&mut self) -> Result<()> {
        if self.buffer.len() < PIECE {
            return Ok(());
        }
        self.hand_over()
    }

    fn hand_over(&mut self) -> Result<()> {
        (self.interrupted)()?;
        let next = self
            .empty
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(2 * PIECE));
        let piece = std::mem::replace(&mut self.buffer, next);
        match &self.full {
            Some(full) if full.send(piece).is_ok() => Ok(()),
            // The writer is gone: what stopped it is the error.
            _ => Err(self.join().err().unwrap_or_else(stopped)),
        }
    }

    /// Writes the end of the archive, two blocks of zeros, and waits until everything is out.
    pub(crate) fn finish(mut self) -> Result<Digested> {
        self.buffer.extend_from_slice(&[0; 2 * BLOCK]);
        self.hand_over()?;
        self.join()
    }

    fn join(&mut self) -> Result<Digested> {
        self.full = None;
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Err(stopped()),
        }
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        self.full = None;
        // After a failure no one asks for the result; but no thread is left behind.
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
    }
}

fn stopped() -> Error {
    Error::system("write", "", rustix::io::Errno::PIPE)
}

fn write_pieces(
    mut output: impl Write,
    pieces: &Receiver<Vec<u8>>,
    used: &SyncSender<Vec<u8>>,
) -> Result<Digested> {
    let mut hasher = Hasher::new();
    let mut size = 0;
    for mut piece in pieces {
        // `write_all` goes on after a partial write and after EINTR.
        output.write_all(&piece).during("write", "")?;
        hasher.update(&piece);
        size += piece.len() as u64;
        piece.clear();
        // A full or closed channel of used buffers only means that this one is freed.
        drop(used.try_send(piece));
    }
    output.flush().during("write", "")?;
    Ok(Digested {
        sha256: hasher.finalize().into(),
        size,
    })
}
