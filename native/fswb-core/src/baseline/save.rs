//! Writes a baseline in the layout of `format`.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Baseline;
use super::cursor::Cursor;
use super::format::{Counts, Directory, HEADER, NO_DIRECTORY, Place, encode_extra, encode_node};
use crate::entry::Kind;
use crate::error::{Context, Error, Result};

/// Writes `baseline` to `path`, whole or not at all.
pub(super) fn save(baseline: &Baseline, path: &Path) -> Result<()> {
    let temporary = temporary(path)?;
    let written = write(baseline, &temporary).and_then(|()| {
        let name = path.as_os_str().as_bytes();
        std::fs::rename(&temporary, path).during("rename", name)
    });
    if written.is_err() {
        // The first error is the one to tell; after the rename there is nothing left to remove.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn temporary(path: &Path) -> Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::refused(path.as_os_str().as_bytes(), "not a file name"))?;
    let mut temporary = name.to_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

fn write(baseline: &Baseline, path: &Path) -> Result<()> {
    let name = path.as_os_str().as_bytes();
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(path).during("open", name)?;
    let mut sink = Sink {
        out: BufWriter::with_capacity(1 << 20, file),
        checksum: crc32fast::Hasher::new(),
        path,
    };
    sink.raw(&[0; HEADER])?;
    let counts = Writer::default().run(baseline, &mut sink)?;
    let header = counts.encode(sink.checksum.clone().finalize());
    sink.out.seek(SeekFrom::Start(0)).during("lseek", name)?;
    sink.raw(&header)?;
    sink.out.flush().during("write", name)
}

struct Sink<'a> {
    out: BufWriter<File>,
    checksum: crc32fast::Hasher,
    path: &'a Path,
}

impl Sink<'_> {
    fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        let path = self.path.as_os_str().as_bytes();
        self.out.write_all(bytes).during("write", path)
    }

    fn body(&mut self, bytes: &[u8]) -> Result<()> {
        self.checksum.update(bytes);
        self.raw(bytes)
    }
}

/// Nodes go straight to the file, a directory's children after those of every directory before it; the smaller sections
/// are gathered meanwhile.
#[derive(Default)]
struct Writer {
    nodes: u32,
    directories: Vec<Directory>,
    inodes: Vec<(u64, u32)>,
    devices: Vec<u64>,
    device_numbers: HashMap<u64, u16>,
    names: Vec<u8>,
    extras: Vec<u8>,
}

impl Writer {
    fn run(mut self, baseline: &Baseline, sink: &mut Sink<'_>) -> Result<Counts> {
        let mut rest = VecDeque::from([baseline.root()]);
        self.node(baseline.root(), b"", 0, sink)?;
        let mut index = 0;
        while let Some(directory) = rest.pop_front() {
            let first = self.nodes;
            let first_directory = self.directories.len() as u32;
            for (name, child) in directory.children() {
                self.node(child, name, index, sink)?;
                if child.kind() == Kind::Directory {
                    rest.push_back(child);
                }
            }
            let record = &mut self.directories[index as usize];
            record.first = first;
            record.count = self.nodes - first;
            record.first_directory = first_directory;
            let end = self.directories.len() as u32;
            self.directories[index as usize].directory_count = end - first_directory;
            index += 1;
        }
        self.finish(sink)
    }

    fn node(
        &mut self,
        at: Cursor<'_>,
        name: &[u8],
        parent: u32,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let too_large = |_| Error::refused(sink.path.as_os_str().as_bytes(), "too large a tree");
        let entry = at.entry();
        let position = u32::try_from(self.names.len()).map_err(too_large)?;
        self.names.extend_from_slice(name);
        let name_length = u16::try_from(name.len()).map_err(too_large)?;
        let directory = if entry.kind == Kind::Directory {
            self.directories.push(Directory {
                node: self.nodes,
                parent,
                name: position,
                name_length: name_length.into(),
                ..Directory::default()
            });
            self.directories.len() as u32 - 1
        } else {
            NO_DIRECTORY
        };
        let extra = u32::try_from(self.extras.len()).map_err(too_large)?;
        if !entry.target.is_empty() || !entry.xattrs.is_empty() {
            encode_extra(&entry, &mut self.extras);
        }
        let extra_end = u32::try_from(self.extras.len()).map_err(too_large)?;
        let device = self.device(entry.dev, sink.path)?;
        self.inodes.push((entry.ino, self.nodes));
        let place = Place {
            name: position,
            name_length,
            parent,
            directory,
            device,
            extra,
            extra_length: extra_end - extra,
        };
        sink.body(&encode_node(&entry, place))?;
        self.nodes = self
            .nodes
            .checked_add(1)
            .ok_or_else(|| Error::refused(sink.path.as_os_str().as_bytes(), "too large a tree"))?;
        Ok(())
    }

    fn device(&mut self, dev: u64, path: &Path) -> Result<u16> {
        if let Some(&known) = self.device_numbers.get(&dev) {
            return Ok(known);
        }
        let number = u16::try_from(self.devices.len())
            .map_err(|_| Error::refused(path.as_os_str().as_bytes(), "on too many devices"))?;
        self.devices.push(dev);
        self.device_numbers.insert(dev, number);
        Ok(number)
    }

    fn finish(mut self, sink: &mut Sink<'_>) -> Result<Counts> {
        // Children have higher numbers than their directory: from the back, every sum is complete when it is added.
        for index in (0..self.directories.len()).rev() {
            let own = self.directories[index];
            let below = own.below + own.count;
            let directories_below = own.directories_below + own.directory_count;
            self.directories[index].below = below;
            self.directories[index].directories_below = directories_below;
            if index > 0 {
                let parent = &mut self.directories[own.parent as usize];
                parent.below += below;
                parent.directories_below += directories_below;
            }
        }
        self.inodes.sort_unstable();
        for directory in &self.directories {
            sink.body(&directory.encode())?;
        }
        for (_, node) in &self.inodes {
            sink.body(&node.to_le_bytes())?;
        }
        for device in &self.devices {
            sink.body(&device.to_le_bytes())?;
        }
        sink.body(&self.names)?;
        sink.body(&self.extras)?;
        Ok(Counts {
            nodes: self.nodes,
            directories: self.directories.len() as u32,
            devices: self.devices.len() as u32,
            names: self.names.len() as u32,
            extras: self.extras.len() as u32,
        })
    }
}
