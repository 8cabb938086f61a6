//! The records that read(2) returns on a fanotify descriptor with `FAN_REPORT_DFID_NAME_TARGET`, as fanotify(7) lays them
//! out.

use crate::handle::Handle;

/// One event: what happened to which inode, under which names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event<'a> {
    pub(super) mask: u64,
    pub(super) pid: i32,
    /// The inode that it is about. Absent where that is the directory itself.
    pub(super) target: Option<Handle<'a>>,
    /// The directory and the name in it; of a rename the old one. `.` is the directory itself.
    pub(super) place: Option<Place<'a>>,
    /// Where a rename leads to.
    pub(super) renamed: Option<Place<'a>>,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// The ID of its file system, as statfs(2) tells it.
    pub(super) file_system: [u8; 8],
    pub(super) directory: Handle<'a>,
    pub(super) name: &'a [u8],
}

/// Bytes of `struct fanotify_event_metadata`: length, version, reserved, its own length, mask, descriptor, pid.
pub(super) const METADATA: usize = 24;
const VERSION: u8 = 3;

/// Bytes of a record before its handle: type, padding, length; then the ID of the file system.
const HEADER: usize = 4 + 8;

/// The events in what one read returned, whole events only. `None` ends a buffer that makes no sense.
pub(super) fn parse(mut bytes: &[u8]) -> impl Iterator<Item = Option<Event<'_>>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let event = one(bytes);
        bytes = event.map_or(&[], |(_, rest)| rest);
        Some(event.map(|(event, _)| event))
    })
}

fn one(bytes: &[u8]) -> Option<(Event<'_>, &[u8])> {
    let length = u32::from_ne_bytes(field(bytes, 0)?) as usize;
    let metadata = u16::from_ne_bytes(field(bytes, 6)?) as usize;
    if *bytes.get(4)? != VERSION || metadata < METADATA {
        return None;
    }
    let (own, rest) = bytes.split_at_checked(length)?;
    let mut event = Event {
        mask: u64::from_ne_bytes(field(own, 8)?),
        pid: i32::from_ne_bytes(field(own, 20)?),
        target: None,
        place: None,
        renamed: None,
    };
    let mut records = own.get(metadata..)?;
    while !records.is_empty() {
        let length = u16::from_ne_bytes(field(records, 2)?) as usize;
        let (record, others) = records.split_at_checked(length)?;
        let kind = *record.first()?;
        let file_system: [u8; 8] = field(record, 4)?;
        let body = record.get(HEADER..)?;
        match kind {
            libc::FAN_EVENT_INFO_TYPE_FID => event.target = Some(handle(body)?.0),
            libc::FAN_EVENT_INFO_TYPE_DFID_NAME
            | libc::FAN_EVENT_INFO_TYPE_DFID
            | libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME => {
                event.place = Some(place(body, file_system)?)
            }
            libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME => {
                event.renamed = Some(place(body, file_system)?)
            }
            // A kind we did not ask for.
            _ => return None,
        }
        records = others;
    }
    Some((event, rest))
}

fn place(body: &[u8], file_system: [u8; 8]) -> Option<Place<'_>> {
    let (directory, rest) = handle(body)?;
    // A record without a name is about the directory.
    let name = rest.split(|&byte| byte == 0).next()?;
    let name = if name.is_empty() { b"." } else { name };
    Some(Place {
        file_system,
        directory,
        name,
    })
}

/// `struct file_handle`, and what follows it.
fn handle(body: &[u8]) -> Option<(Handle<'_>, &[u8])> {
    let length = u32::from_ne_bytes(field(body, 0)?) as usize;
    let kind = i32::from_ne_bytes(field(body, 4)?);
    let (bytes, rest) = body.get(8..)?.split_at_checked(length)?;
    Some((Handle { kind, bytes }, rest))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record as the kernel writes it.
    pub(in crate::fanotify) fn record(kind: u8, ino: u32, name: Option<&[u8]>) -> Vec<u8> {
        let mut body = vec![0; 8];
        body.extend(8_u32.to_ne_bytes());
        body.extend(1_i32.to_ne_bytes());
        body.extend(ino.to_ne_bytes());
        body.extend(9_u32.to_ne_bytes());
        if let Some(name) = name {
            body.extend(name);
            body.resize(body.len() / 4 * 4 + 4, 0);
        }
        let length = u16::try_from(body.len() + 4).unwrap();
        let mut bytes = vec![kind, 0];
        bytes.extend(length.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    /// An event as the kernel writes it.
    pub(in crate::fanotify) fn event(mask: u64, records: &[Vec<u8>]) -> Vec<u8> {
        let records = records.concat();
        let length = u32::try_from(METADATA + records.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([VERSION, 0]);
        bytes.extend(24_u16.to_ne_bytes());
        bytes.extend(mask.to_ne_bytes());
        bytes.extend((-1_i32).to_ne_bytes());
        bytes.extend(77_i32.to_ne_bytes());
        bytes.extend(records);
        bytes
    }

    #[test]
    fn a_rename_has_two_names_and_the_next_event_none() {
        let renamed = [
            record(10, 2, Some(b"old")),
            record(12, 3, Some(b"caf\xe9")),
            record(1, 4, None),
        ];
        let mut bytes = event(libc::FAN_RENAME, &renamed);
        bytes.extend(event(libc::FAN_Q_OVERFLOW, &[]));
        let events: Vec<_> = parse(&bytes).map(Option::unwrap).collect();
        let [rename, overflow] = events.as_slice() else {
            panic!("{events:?}")
        };
        let told = |place: Option<Place<'_>>| {
            let place = place.unwrap();
            (place.directory.inode().unwrap().ino, place.name.to_vec())
        };
        assert_eq!(told(rename.place), (2, b"old".to_vec()));
        assert_eq!(told(rename.renamed), (3, b"caf\xe9".to_vec()));
        assert_eq!(rename.target.unwrap().inode().unwrap().ino, 4);
        assert_eq!(rename.pid, 77);
        assert_eq!((overflow.target, overflow.place), (None, None));
    }

    #[test]
    fn a_buffer_that_makes_no_sense_is_told_and_never_read_past_its_end() {
        let whole = event(
            libc::FAN_CREATE,
            &[record(2, 2, Some(b"n")), record(1, 4, None)],
        );
        for length in 1..whole.len() {
            assert_eq!(parse(&whole[..length]).last(), Some(None), "{length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] = 0xff;
            parse(&damaged).for_each(drop);
        }
        assert!(parse(&whole).all(|event| event.is_some()));
    }
}
