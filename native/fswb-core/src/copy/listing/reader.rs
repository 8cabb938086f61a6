//! Listings are read as what anybody may have written.

use std::collections::BTreeMap;

use super::record::{Record, Short};
use super::{CUT, FORM, LEAF, LISTED};
use crate::error::{Error, Result};

/// An entry of a listing that was read. `below` is a digest over all that a directory holds.
pub(super) struct Node {
    pub(super) record: Record,
    pub(super) below: Short,
    pub(super) children: Option<Children>,
}

pub(super) type Children = BTreeMap<Vec<u8>, Node>;

/// An error if it has not the form that [`super::Listing`] gives it.
pub(super) fn read(listing: &[u8]) -> Result<Children> {
    let mut reader = Reader(listing);
    if reader.byte()? != FORM {
        return Err(Error::refused(b"", "a listing of another form"));
    }
    let (_, top) = reader.node(0)?;
    Ok(Children::from([(Vec::new(), top)]))
}

/// Names may be paths, which a Dockerfile gives: so many levels at most.
const DEEPEST: usize = 4_096;

/// What is left of a listing.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| Error::refused(b"", "a listing that ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn number(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn node(&mut self, depth: usize) -> Result<(Vec<u8>, Node)> {
        if depth > DEEPEST {
            return Err(Error::refused(b"", "a listing that is too deep"));
        }
        let length = self.number()?;
        let name = self.take(length as usize)?.to_vec();
        let record = Record::read(self)?;
        let form = self.byte()?;
        let below = if form == LEAF {
            Short::default()
        } else {
            self.array()?
        };
        let mut children = (form != CUT).then(Children::new);
        if let (LISTED, Some(children)) = (form, &mut children) {
            for _ in 0..self.number()? {
                let (name, node) = self.node(depth + 1)?;
                children.insert(name, node);
            }
        }
        let node = Node {
            record,
            below,
            children,
        };
        Ok((name, node))
    }
}
