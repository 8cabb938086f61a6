//! The bytes of an archive: buffered, counted, digested.

use std::io::{ErrorKind, Read};
use std::sync::Arc;

use sha2::{Digest as _, Sha256 as Hasher};

use crate::archive::BLOCK;
use crate::archive::digester::Digester;
use crate::entry::Sha256;
use crate::error::{Error, Result};

// A multiple of the block, and of what a pipe holds. Larger buffers leave the second-level cache and gain nothing.
const BUFFER: usize = 256 * 1024;

/// What went through a stream, to its very end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digested {
    /// SHA-256 of all bytes: of a layer, its diffID.
    pub sha256: Sha256,
    /// Number of bytes.
    pub size: u64,
}

/// A reader that digests what it reads, once, as it comes in.
pub(super) struct Stream<R> {
    input: R,
    /// What was read last: all of it, as the digester has it too.
    buffer: Arc<Vec<u8>>,
    /// What was read before that.
    spare: Arc<Vec<u8>>,
    start: usize,
    offset: u64,
    received: u64,
    /// Bytes of holes.
    holes: u64,
    limit: Option<u64>,
    digest: bool,
    /// From the first byte on, if there is to be a digest.
    digester: Option<Digester>,
}

impl<R: Read> Stream<R> {
    pub(super) fn new(input: R, digest: bool, limit: Option<u64>) -> Self {
        Self {
            input,
            buffer: Arc::default(),
            spare: Arc::default(),
            start: 0,
            offset: 0,
            received: 0,
            holes: 0,
            limit,
            digest,
            digester: None,
        }
    }

    /// Offset of the next byte to be taken.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the next bytes, at least one and at most `most`; none only at the end of the input.
    pub(super) fn take(&mut self, most: u64) -> Result<&[u8]> {
        if self.start == self.buffer.len() {
            self.fill()?;
        }
        let available = self.buffer.len() - self.start;
        let length = usize::try_from(most).map_or(available, |most| most.min(available));
        let taken = &self.buffer[self.start..self.start + length];
        self.start += length;
        self.offset += length as u64;
        Ok(taken)
    }

    /// The last `length` bytes that were taken, once more.
    pub(super) fn last(&self, length: usize) -> &[u8] {
        &self.buffer[self.start - length..self.start]
    }

    /// Takes a block; `None` at the end of the input, `Err` in the middle of a block.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let piece = self.take((BLOCK - filled) as u64)?;
            if piece.is_empty() {
                if filled == 0 {
                    return Ok(None);
                }
                return Err(Error::Archive {
                    offset: self.offset - filled as u64,
                    path: Vec::new(),
                    reason: "cut off in the middle of a header".into(),
                });
            }
            block[filled..filled + piece.len()].copy_from_slice(piece);
            filled += piece.len();
        }
        Ok(Some(block))
    }

    fn fill(&mut self) -> Result<()> {
        self.start = 0;
        std::mem::swap(&mut self.buffer, &mut self.spare);
        // The digester has let go of it: it took the one after it.
        let buffer = Arc::make_mut(&mut self.buffer);
        buffer.resize(BUFFER, 0);
        let length = loop {
            match self.input.read(buffer) {
                Ok(length) => break length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", "", &error)),
            }
        };
        buffer.truncate(length);
        self.received += length as u64;
        self.check_limit()?;
        if self.digest && length > 0 {
            if self.digester.is_none() {
                self.digester = Some(Digester::new()?);
            }
            if let Some(digester) = &self.digester {
                digester.update(&self.buffer)?;
            }
        }
        Ok(())
    }

    /// Counts a file's holes: they come out of nothing, which is what the limit is for.
    pub(super) fn count(&mut self, holes: u64) -> Result<()> {
        self.holes = self.holes.saturating_add(holes);
        self.check_limit()
    }

    fn check_limit(&self) -> Result<()> {
        let total = self.received.saturating_add(self.holes);
        match self.limit {
            Some(limit) if total > limit => Err(Error::Archive {
                offset: self.offset,
                path: Vec::new(),
                reason: format!(
                    "the archive unpacks to more than the limit of {limit} bytes (--unpack-limit)"
                ),
            }),
            _ => Ok(()),
        }
    }

    /// Gives an input that can be interrupted the chance to say so, where much is done without reading.
    pub(super) fn pause(&mut self) -> Result<()> {
        self.input
            .read(&mut [])
            .map(drop)
            .map_err(|error| Error::io("read", "", &error))
    }

    /// Reads to the end, whatever is there: padding belongs to the digest.
    pub(super) fn finish(mut self) -> Result<Digested> {
        while !self.take(u64::MAX)?.is_empty() {}
        let sha256 = match self.digester {
            Some(digester) => digester.finish()?,
            None if self.digest => Hasher::new().finalize().into(),
            None => [0; 32],
        };
        Ok(Digested {
            sha256,
            size: self.received,
        })
    }
}
