//! The records that read(2) returns on an inotify descriptor, as inotify(7) lays them out.

use rustix::fs::inotify::ReadFlags;

/// `struct inotify_event`, without the rename cookie: we never pair the halves of a rename, each is a hint of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event<'a> {
    /// Watch descriptor; -1 for `IN_Q_OVERFLOW`.
    pub(super) wd: i32,
    pub(super) mask: ReadFlags,
    /// Name in the watched directory; empty when the event is about the directory itself.
    pub(super) name: &'a [u8],
}

/// Bytes before the name: `wd`, `mask`, `cookie`, `len`, four each.
const HEADER: usize = 16;

/// The events in what one read returned. The kernel returns whole events only.
pub(super) fn parse(mut bytes: &[u8]) -> impl Iterator<Item = Event<'_>> {
    std::iter::from_fn(move || {
        let wd = i32::from_ne_bytes(field(bytes, 0)?);
        let mask = u32::from_ne_bytes(field(bytes, 4)?);
        let length = u32::from_ne_bytes(field(bytes, 12)?) as usize;
        let padded = bytes.get(HEADER..HEADER + length)?;
        bytes = &bytes[HEADER + length..];
        let name = padded.split(|&byte| byte == 0).next().unwrap_or_default();
        Some(Event {
            wd,
            mask: ReadFlags::from_bits_retain(mask),
            name,
        })
    })
}

fn field(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at + 4)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(wd: i32, mask: ReadFlags, padded_name: &[u8]) -> Vec<u8> {
        let mut bytes = wd.to_ne_bytes().to_vec();
        bytes.extend(mask.bits().to_ne_bytes());
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend(u32::try_from(padded_name.len()).unwrap().to_ne_bytes());
        bytes.extend(padded_name);
        bytes
    }

    #[test]
    fn the_padding_is_no_part_of_the_name() {
        let mut bytes = record(3, ReadFlags::CREATE | ReadFlags::ISDIR, b"caf\xe9\0\0\0\0");
        bytes.extend(record(4, ReadFlags::ATTRIB, b""));
        let events: Vec<_> = parse(&bytes).collect();
        assert_eq!(events[0].name, b"caf\xe9");
        assert_eq!(events[0].mask, ReadFlags::CREATE | ReadFlags::ISDIR);
        assert_eq!((events[1].wd, events[1].name), (4, b"".as_slice()));
        assert_eq!(events.len(), 2);
    }
}
