//! The immutable part of a baseline: a saved file, mapped.

use std::fs::File;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use memmap2::Mmap;

use super::format::{
    Counts, DEVICE, DIRECTORY, Directory, HEADER, INODE, NODE, Node, decode_extra, decode_inode,
};
use crate::entry::{Entry, Kind};
use crate::error::{Context, Error, Result};
use crate::path::{RelPath, is_name};

/// A saved baseline. Every number in it was checked when it was opened, so that no later access can fail.
#[derive(Debug)]
pub(super) struct Mapped {
    map: Mmap,
    counts: Counts,
    offsets: [usize; 7],
    devices: Vec<u64>,
}

impl Mapped {
    /// Maps and checks a file: checksum, bounds, and that the records are one tree in the order of the format.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.as_os_str().as_bytes();
        let file = File::open(path).during("open", name)?;
        let length = file.metadata().during("fstat", name)?.len();
        if length < HEADER as u64 {
            return Err(damaged(name, "too short"));
        }
        // SAFETY: the file is ours alone and is never written to after the rename that made it visible; a save makes a
        // new one. (Somebody who truncates it under us gets what truncating a running program's file gets: SIGBUS.)
        let map = unsafe { Mmap::map(&file) }.during("mmap", name)?;
        let header = map
            .first_chunk::<HEADER>()
            .ok_or_else(|| damaged(name, "too short"))?;
        let (counts, body) = Counts::decode(header).map_err(|reason| damaged(name, reason))?;
        let ends = counts.offsets();
        if ends[6] != map.len() as u64 {
            return Err(damaged(name, "it is not as long as its header says"));
        }
        if crc32fast::hash(&map[HEADER..]) != body {
            return Err(damaged(name, "the checksum is wrong"));
        }
        let offsets = ends.map(|end| end as usize);
        let devices = map[offsets[3]..offsets[4]]
            .chunks_exact(DEVICE)
            .map(|value| {
                value
                    .iter()
                    .rev()
                    .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
            })
            .collect();
        let mapped = Self {
            map,
            counts,
            offsets,
            devices,
        };
        mapped.check().map_err(|reason| damaged(name, reason))?;
        Ok(mapped)
    }

    fn section(&self, index: usize) -> &[u8] {
        &self.map[self.offsets[index]..self.offsets[index + 1]]
    }

    fn node(&self, index: u32) -> Node<'_> {
        Node(record::<NODE>(self.section(0), index))
    }

    fn directory(&self, index: u32) -> Directory {
        Directory::decode(record::<DIRECTORY>(self.section(1), index))
    }

    /// The node that comes at `index` in the order of inode numbers.
    fn by_ino(&self, index: u32) -> u32 {
        decode_inode(record::<INODE>(self.section(2), index))
    }

    fn pooled(&self, at: u32, length: u32) -> Option<&[u8]> {
        let (at, length) = (at as usize, length as usize);
        self.section(4).get(at..at.checked_add(length)?)
    }

    /// Number of nodes, the root included.
    pub(super) fn len(&self) -> usize {
        self.counts.nodes as usize
    }

    /// Number of directories, the root included.
    pub(super) fn directory_count(&self) -> usize {
        self.counts.directories as usize
    }

    pub(super) fn name(&self, node: u32) -> &[u8] {
        let place = self.node(node).place();
        self.pooled(place.name, place.name_length.into())
            .unwrap_or_default()
    }

    pub(super) fn kind(&self, node: u32) -> Kind {
        self.node(node).kind().unwrap_or(Kind::File)
    }

    pub(super) fn entry(&self, node: u32) -> Entry {
        let record = self.node(node);
        let place = record.place();
        let mut entry = record.entry(self.kind(node));
        entry.dev = self.device(node);
        if let Some((target, xattrs)) = self.extra(place.extra, place.extra_length) {
            entry.target = target;
            entry.xattrs = xattrs;
        }
        entry
    }

    fn extra(&self, at: u32, length: u32) -> Option<(Vec<u8>, crate::entry::Xattrs)> {
        let (at, length) = (at as usize, length as usize);
        let bytes = self.section(5).get(at..at.checked_add(length)?)?;
        if bytes.is_empty() {
            None
        } else {
            decode_extra(bytes)
        }
    }

    /// The nodes in a directory, sorted by name; none in anything else.
    pub(super) fn children(&self, node: u32) -> Range<u32> {
        match self.node(node).directory() {
            None => 0..0,
            Some(index) => {
                let directory = self.directory(index);
                directory.first..directory.first + directory.count
            }
        }
    }

    /// Those of them that are directories. Reads no node but the one asked for.
    pub(super) fn subdirectories(&self, node: u32) -> impl Iterator<Item = (&[u8], u32)> {
        let run = self.node(node).directory().map_or(0..0, |index| {
            let directory = self.directory(index);
            directory.first_directory..directory.first_directory + directory.directory_count
        });
        run.map(|index| {
            let directory = self.directory(index);
            let name = self.pooled(directory.name, directory.name_length);
            (name.unwrap_or_default(), directory.node)
        })
    }

    pub(super) fn child(&self, node: u32, name: &[u8]) -> Option<u32> {
        let Range { mut start, mut end } = self.children(node);
        while start < end {
            let middle = start + (end - start) / 2;
            match self.name(middle).cmp(name) {
                std::cmp::Ordering::Less => start = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => end = middle,
            }
        }
        None
    }

    /// Entries and directories below a node.
    pub(super) fn below(&self, node: u32) -> (usize, usize) {
        self.node(node).directory().map_or((0, 0), |index| {
            let directory = self.directory(index);
            (
                directory.below as usize,
                directory.directories_below as usize,
            )
        })
    }

    pub(super) fn path(&self, node: u32) -> Option<RelPath> {
        let mut names = Vec::new();
        let mut at = node;
        while at != 0 {
            names.push(self.name(at));
            at = self.directory(self.node(at).place().parent).node;
        }
        names
            .into_iter()
            .rev()
            .try_fold(RelPath::ROOT, |path, name| path.join(name).ok())
    }

    /// The nodes with this inode number, on whatever device.
    pub(super) fn with_ino(&self, ino: u64) -> impl Iterator<Item = u32> + '_ {
        let (mut start, mut end) = (0, self.counts.nodes);
        while start < end {
            let middle = start + (end - start) / 2;
            if self.node(self.by_ino(middle)).ino() < ino {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        (start..self.counts.nodes)
            .map(|index| self.by_ino(index))
            .take_while(move |&node| self.node(node).ino() == ino)
    }

    /// The devices that nodes are on.
    pub(super) fn devices(&self) -> &[u64] {
        &self.devices
    }

    pub(super) fn device(&self, node: u32) -> u64 {
        let device = usize::from(self.node(node).place().device);
        self.devices.get(device).copied().unwrap_or(0)
    }

    fn check(&self) -> std::result::Result<(), &'static str> {
        self.check_directories()?;
        self.check_nodes()?;
        self.check_inodes()
    }

    /// Directories are numbered in the order of their nodes, and so are the runs of their children: every node but the
    /// root is in exactly one run, and there is no cycle.
    fn check_directories(&self) -> std::result::Result<(), &'static str> {
        let (nodes, directories) = (self.counts.nodes, self.counts.directories);
        if nodes == 0 || directories == 0 {
            return Err("there is no root");
        }
        let (mut next, mut next_directory) = (1_u32, 1_u32);
        for index in 0..directories {
            let directory = self.directory(index);
            if directory.first != next || directory.first_directory != next_directory {
                return Err("the directories are out of order");
            }
            if directory.node >= nodes || self.node(directory.node).directory() != Some(index) {
                return Err("a directory has no node");
            }
            // A run that starts at or before its own directory would close a cycle.
            if next <= directory.node || next_directory <= index {
                return Err("a directory is below itself");
            }
            next = next
                .checked_add(directory.count)
                .filter(|&next| next <= nodes)
                .ok_or("a directory has more children than there are nodes")?;
            next_directory = next_directory
                .checked_add(directory.directory_count)
                .filter(|&next| next <= directories)
                .ok_or("a directory has more directories than there are")?;
            let mut below = u64::from(directory.count);
            let mut directories_below = u64::from(directory.directory_count);
            for inner in directory.first_directory..next_directory {
                let inner = self.directory(inner);
                if inner.parent != index {
                    return Err("a directory has another parent");
                }
                below += u64::from(inner.below);
                directories_below += u64::from(inner.directories_below);
            }
            if below != u64::from(directory.below)
                || directories_below != u64::from(directory.directories_below)
            {
                return Err("a directory is miscounted");
            }
        }
        if next != nodes || next_directory != directories {
            return Err("there are nodes in no directory");
        }
        Ok(())
    }

    fn check_nodes(&self) -> std::result::Result<(), &'static str> {
        let mut seen_directories = 0;
        let mut parent = 0;
        let mut run = self.directory(0);
        let mut previous: &[u8] = b"";
        for index in 0..self.counts.nodes {
            let node = self.node(index);
            let place = node.place();
            let name = self
                .pooled(place.name, place.name_length.into())
                .ok_or("a name is out of bounds")?;
            if index == 0 {
                if !name.is_empty() || node.kind() != Some(Kind::Directory) {
                    return Err("the root is no directory");
                }
            } else {
                while index >= run.first + run.count {
                    parent += 1;
                    run = self.directory(parent);
                    previous = b"";
                }
                if place.parent != parent {
                    return Err("a node has another parent");
                }
                if name <= previous || !is_name(name) || name.contains(&b'/') {
                    return Err("names are out of order or not clean");
                }
                previous = name;
            }
            match (node.kind(), node.directory()) {
                (Some(Kind::Directory), Some(directory)) if directory == seen_directories => {
                    let own = self.directory(directory);
                    if (own.name, own.name_length) != (place.name, place.name_length.into()) {
                        return Err("a directory has two names");
                    }
                    seen_directories += 1;
                }
                (Some(Kind::Directory), _) | (None, _) | (Some(_), Some(_)) => {
                    return Err("a node is of no known kind");
                }
                (Some(_), None) => {}
            }
            if usize::from(place.device) >= self.devices.len() {
                return Err("a device is out of bounds");
            }
            if place.extra_length > 0 && self.extra(place.extra, place.extra_length).is_none() {
                return Err("targets and attributes are damaged");
            }
        }
        Ok(())
    }

    /// Every node is there once, in the order of inode numbers.
    fn check_inodes(&self) -> std::result::Result<(), &'static str> {
        let mut previous = None;
        for index in 0..self.counts.nodes {
            let node = self.by_ino(index);
            if node >= self.counts.nodes {
                return Err("an inode has no node");
            }
            let own = Some((self.node(node).ino(), node));
            // Strictly rising, and as many as there are nodes: so none is missing.
            if previous >= own {
                return Err("the inodes are out of order");
            }
            previous = own;
        }
        Ok(())
    }
}

fn record<const N: usize>(section: &[u8], index: u32) -> &[u8; N] {
    static NOTHING: [u8; NODE] = [0; NODE];
    let at = index as usize * N;
    let found = section.get(at..).and_then(|rest| rest.first_chunk::<N>());
    // Every index was checked on opening: there is no record to fall back from.
    found.unwrap_or_else(|| NOTHING.first_chunk::<N>().unwrap_or(&[0; N]))
}

fn damaged(path: &[u8], reason: &str) -> Error {
    Error::Index {
        path: path.to_vec(),
        reason: format!("{reason}; remove it, and it will be made anew"),
    }
}
