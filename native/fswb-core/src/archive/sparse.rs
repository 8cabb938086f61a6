//! Files with holes: which parts of them an archive has.
//!
//! GNU tar's manual, "Storing Sparse Files", knows four ways to write it down. The old one has the parts in the header and
//! in blocks behind it; PAX 0.0 and 0.1 have them in records, PAX 1.0 in front of the content.

use crate::archive::BLOCK;
use crate::archive::header::number;
use crate::archive::pax::decimal;
use crate::error::excerpt;

/// The most parts a file may be in: 16 MiB of memory. A file of 4 GiB whose every other page is a hole has half of it.
const MAX_REGIONS: usize = 1 << 20;
/// Holes are told in pieces, so that whoever fills them comes back now and then (bytes).
const MAX_HOLE: u64 = 64 << 20;

/// Offset and length of a part, as they stand in headers and blocks.
const PAIR: usize = 24;
const FIRST: usize = 386;
const IN_HEADER: usize = 4;
const IN_BLOCK: usize = 21;

/// A part of a file that the archive has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Region {
    offset: u64,
    length: u64,
}

/// The parts of a file as they are read, in whatever form.
#[derive(Debug, Clone, Default)]
pub(super) struct Regions(Vec<Region>);

impl Regions {
    fn push(&mut self, offset: u64, length: u64) -> Result<(), String> {
        if self.0.len() == MAX_REGIONS {
            return Err(format!(
                "a sparse file in more than {MAX_REGIONS} parts: write the archive without --sparse"
            ));
        }
        self.0.push(Region { offset, length });
        Ok(())
    }

    /// Takes the pairs of an old header block; whether a block of more follows.
    pub(super) fn add_header(&mut self, block: &[u8; BLOCK]) -> Result<bool, String> {
        self.add_pairs(&block[FIRST..FIRST + IN_HEADER * PAIR])?;
        Ok(block[FIRST + IN_HEADER * PAIR] != 0)
    }

    /// Takes the pairs of a block behind an old header; whether one more follows.
    pub(super) fn add_block(&mut self, block: &[u8; BLOCK]) -> Result<bool, String> {
        self.add_pairs(&block[..IN_BLOCK * PAIR])?;
        Ok(block[IN_BLOCK * PAIR] != 0)
    }

    /// A blank pair ends them.
    fn add_pairs(&mut self, pairs: &[u8]) -> Result<(), String> {
        for pair in pairs.chunks_exact(PAIR) {
            let (offset, length) = pair.split_at(PAIR / 2);
            if length[0] == 0 {
                break;
            }
            self.push(field(offset)?, field(length)?)?;
        }
        Ok(())
    }

    /// Whether a file of `size` bytes, `stored` of which are in the archive, may be in these parts: in order, not one
    /// over the other, none past the end, and neither more nor less than what is stored.
    pub(super) fn layout(self, size: u64, stored: u64) -> Result<Layout, String> {
        let lie = || "a map of a sparse file that does not fit its size".to_owned();
        let (mut end, mut sum) = (0_u64, 0_u64);
        for region in &self.0 {
            if region.offset < end {
                return Err(lie());
            }
            end = region.offset.checked_add(region.length).ok_or_else(lie)?;
            sum += region.length; // at most `end`
        }
        if end > size || sum != stored {
            return Err(lie());
        }
        Ok(Layout {
            regions: self.0.into_iter(),
            region: Region::default(),
            at: 0,
            size,
        })
    }
}

fn field(bytes: &[u8]) -> Result<u64, String> {
    number(bytes)
        .and_then(|value| u64::try_from(value).ok())
        .ok_or_else(|| "a map of a sparse file that holds no numbers".to_owned())
}

/// The size a file has with its holes, as it stands in an old header.
pub(super) fn real_size(block: &[u8; BLOCK]) -> Result<u64, String> {
    field(&block[483..495])
}

/// What PAX records say: `GNU.sparse.*`.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    major: u64,
    minor: u64,
    /// The name the file has. That of the header is one that readers without holes make.
    pub(super) name: Option<Vec<u8>>,
    /// The size the file has with its holes.
    pub(super) size: u64,
    regions: Regions,
    /// An offset that waits for its length.
    offset: Option<u64>,
}

impl Records {
    /// Takes one record; `key` without its prefix.
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let number = || {
            decimal(value).ok_or_else(|| {
                format!(
                    "a PAX record GNU.sparse.{} of {}",
                    excerpt(key),
                    excerpt(value)
                )
            })
        };
        match key {
            b"major" => self.major = number()?,
            b"minor" => self.minor = number()?,
            b"name" if !value.contains(&0) => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = number()?,
            b"map" => {
                self.regions = Regions::default();
                self.offset = None;
                for text in value.split(|&byte| byte == b',') {
                    self.add(decimal(text).ok_or("a map of a sparse file that holds no numbers")?)?;
                }
            }
            b"offset" if self.offset.is_none() => self.add(number()?)?,
            b"numbytes" if self.offset.is_some() => self.add(number()?)?,
            b"numblocks" => {}
            _ => {
                return Err(format!(
                    "a PAX record GNU.sparse.{} where none belongs",
                    excerpt(key)
                ));
            }
        }
        Ok(())
    }

    fn add(&mut self, number: u64) -> Result<(), String> {
        match self.offset.take() {
            None => self.offset = Some(number),
            Some(offset) => self.regions.push(offset, number)?,
        }
        Ok(())
    }

    /// Bytes of memory that they take, near enough.
    pub(super) fn memory(&self) -> usize {
        self.name.as_ref().map_or(0, Vec::len) + self.regions.0.len() * size_of::<Region>()
    }

    /// Where the map is: `None` means in front of the content.
    pub(super) fn map(&self) -> Result<Option<Regions>, String> {
        match (self.major, self.minor) {
            (1, 0) => Ok(None),
            (0, 0 | 1) if self.offset.is_none() => Ok(Some(self.regions.clone())),
            (0, 0 | 1) => Err("a map of a sparse file that is cut off".to_owned()),
            (major, minor) => Err(format!("a sparse file of format {major}.{minor}")),
        }
    }
}

/// Reads a map in front of the content: decimal numbers, each with a line feed behind it. First how many pairs, then the
/// pairs.
#[derive(Debug, Default)]
pub(super) struct MapText {
    number: Vec<u8>,
    /// Numbers still to come.
    left: Option<u64>,
    offset: Option<u64>,
    regions: Regions,
}

impl MapText {
    /// Takes one block; whether the map goes on in the next.
    pub(super) fn add(&mut self, block: &[u8; BLOCK]) -> Result<bool, String> {
        const DIGITS: usize = 20;
        for &byte in block {
            if byte != b'\n' {
                self.number.push(byte);
                if self.number.len() > DIGITS {
                    return Err(no_map());
                }
                continue;
            }
            let number = decimal(&self.number).ok_or_else(no_map)?;
            self.number.clear();
            match self.left {
                None => self.left = Some(number.checked_mul(2).ok_or_else(no_map)?),
                Some(left) => {
                    self.left = Some(left - 1);
                    match self.offset.take() {
                        None => self.offset = Some(number),
                        Some(offset) => self.regions.push(offset, number)?,
                    }
                }
            }
            if self.left == Some(0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn regions(self) -> Regions {
        self.regions
    }
}

fn no_map() -> String {
    "a sparse file without a map in front of its content".to_owned()
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// So many bytes that the archive does not have, all zero.
    Hole(u64),
    /// At most so many that it has.
    Data(u64),
    /// Nothing.
    End,
}

/// Where in a file the bytes that are stored belong.
#[derive(Debug)]
pub(super) struct Layout {
    regions: std::vec::IntoIter<Region>,
    /// The part at hand: what is left of it.
    region: Region,
    at: u64,
    size: u64,
}

impl Layout {
    /// What comes next. A hole is passed by that; data by [`Self::took`].
    pub(super) fn next(&mut self) -> Next {
        while self.region.length == 0 {
            match self.regions.next() {
                Some(region) => self.region = region,
                None => return self.hole(self.size),
            }
        }
        match self.hole(self.region.offset) {
            Next::End => Next::Data(self.region.length),
            hole => hole,
        }
    }

    /// So many bytes of the data at hand were read.
    pub(super) fn took(&mut self, length: u64) {
        self.at += length;
        self.region.offset += length;
        self.region.length -= length;
    }

    fn hole(&mut self, end: u64) -> Next {
        match (end - self.at).min(MAX_HOLE) {
            0 => Next::End,
            length => {
                self.at += length;
                Next::Hole(length)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(pairs: &[(u64, u64)]) -> Regions {
        let mut regions = Regions::default();
        for &(offset, length) in pairs {
            regions.push(offset, length).unwrap();
        }
        regions
    }

    #[test]
    fn a_map_that_lies_is_refused() {
        for (pairs, size, stored) in [
            (&[(0, 5), (4, 1)][..], 10, 6),
            (&[(0, 5)], 4, 5),
            (&[(0, 5)], 10, 4),
            (&[(0, 5)], 10, 6),
            (&[(u64::MAX, 5)], u64::MAX, 5),
            (&[(3, 0), (2, 0)], 10, 0),
        ] {
            let refused = regions(pairs).layout(size, stored);
            assert!(refused.is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn what_is_between_the_parts_is_a_hole() {
        let mut layout = regions(&[(2, 3), (5, 0), (7, 1), (9, 0)])
            .layout(9, 4)
            .unwrap();
        assert_eq!(layout.next(), Next::Hole(2));
        assert_eq!(layout.next(), Next::Data(3));
        layout.took(1);
        assert_eq!(layout.next(), Next::Data(2));
        layout.took(2);
        assert_eq!(layout.next(), Next::Hole(2));
        assert_eq!(layout.next(), Next::Data(1));
        layout.took(1);
        assert_eq!(layout.next(), Next::Hole(1));
        assert_eq!(layout.next(), Next::End);
        assert_eq!(layout.next(), Next::End);
        let mut large = regions(&[]).layout(MAX_HOLE + 1, 0).unwrap();
        assert_eq!(large.next(), Next::Hole(MAX_HOLE));
        assert_eq!(large.next(), Next::Hole(1));
        assert_eq!(large.next(), Next::End);
    }
}
