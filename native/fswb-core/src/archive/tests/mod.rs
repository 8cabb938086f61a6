mod forged;
mod sparse;

use super::testing::Tar;
use super::*;
use crate::error::{Error, Result};
use crate::path::RelPath;

fn read(archive: &[u8]) -> Result<Vec<(Member, Vec<u8>)>> {
    let mut reader = Reader::new(archive, true, Limits::default());
    let mut members = Vec::new();
    while let Some(member) = reader.next_member()? {
        let mut content = Vec::new();
        while let Some(piece) = reader.piece()? {
            match piece {
                Piece::Data(bytes) => content.extend_from_slice(bytes),
                Piece::Hole(length) => content.resize(content.len() + length as usize, 0),
            }
        }
        members.push((member, content));
    }
    Ok(members)
}

fn reason(archive: &[u8]) -> (u64, String) {
    match read(archive) {
        Err(Error::Archive { offset, reason, .. }) => (offset, reason),
        other => panic!("{other:?}"),
    }
}

fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        super::pax::append(&mut bytes, key.as_bytes(), value);
    }
    bytes
}

fn extended(tar: Tar, kind: u8, records: &[(&str, &[u8])]) -> Tar {
    tar.forged("PaxHeader", &pax(records), |block| block[156] = kind)
}

#[test]
fn e10_long_names_big_ids_and_odd_times_come_back_whole() {
    let deep = format!("{}/{}", "d".repeat(90), "f".repeat(90));
    let names = [
        "f".to_owned(),
        "x".repeat(100),
        "x".repeat(101),
        deep.clone(),
        format!("{deep}/"),
        "y/".repeat(2500) + "z",
        "grüße".to_owned(),
    ];
    let xattrs = vec![
        (
            b"security.capability".to_vec(),
            b"\x01\0\0\x02\0\n=".to_vec(),
        ),
        (b"user.empty".to_vec(), Vec::new()),
    ];
    for name in &names {
        let kind = if name.ends_with('/') {
            Kind::Directory
        } else {
            Kind::Symlink
        };
        let link = if kind == Kind::Symlink {
            name.as_bytes()
        } else {
            b""
        };
        let header = Header {
            link,
            mode: 0o7777,
            uid: 4_000_000_000,
            gid: 3_000_000,
            mtime: -5,
            xattrs: &xattrs,
            ..Tar::header(name, kind)
        };
        let archive = Tar::default().put(&header).end();
        assert_eq!(archive.len() % BLOCK, 0);
        let members = read(&archive).unwrap();
        let [(member, _)] = members.as_slice() else {
            panic!()
        };
        assert_eq!(member.name, name.as_bytes());
        assert_eq!(member.link, link);
        assert_eq!(
            (member.mode, member.uid, member.gid),
            (0o7777, 4_000_000_000, 3_000_000)
        );
        assert_eq!(member.mtime_ns, -5_000_000_000);
        assert_eq!(member.xattrs, xattrs);
    }
}

#[test]
fn a_name_that_is_no_utf_8_comes_back_whole() {
    let name = b"caf\xe9-\xff";
    let header = Header {
        name,
        ..Tar::header("", Kind::File)
    };
    assert_eq!(
        read(&Tar::default().put(&header).end()).unwrap()[0].0.name,
        name
    );
}

#[test]
fn a_plain_member_needs_no_extension() {
    assert_eq!(Tar::default().file("a/b", "x").0.len(), 2 * BLOCK);
}

#[test]
fn a_file_above_8_gib_says_so_in_pax() {
    let header = Header {
        size: 9 << 30,
        ..Tar::header("big", Kind::File)
    };
    let archive = Tar::default().put(&header).0;
    let member = Reader::new(archive.as_slice(), false, Limits::default())
        .next_member()
        .unwrap();
    assert_eq!(member.unwrap().size, 9 << 30);
}

#[test]
fn e12_a_global_header_speaks_for_all_that_follow() {
    let tar = extended(
        Tar::default(),
        b'g',
        &[("comment", b"0123"), ("uid", b"7"), ("mtime", b"5")],
    );
    let tar = extended(tar.file("a", ""), b'x', &[("uid", b"8")]);
    let tar = extended(tar.file("b", ""), b'x', &[("uid", b"")]);
    let members = read(&tar.file("c", "").end()).unwrap();
    let ids: Vec<_> = members.iter().map(|(member, _)| member.uid).collect();
    assert_eq!(ids, [7, 8, rustix::process::geteuid().as_raw()]);
    assert!(
        members
            .iter()
            .all(|(member, _)| member.mtime_ns == 5_000_000_000)
    );
}

#[test]
fn gnu_long_names_and_links_are_joined() {
    let (name, link) = ("n".repeat(300), "l".repeat(300));
    let long = |text: &str| [text.as_bytes(), b"\0"].concat();
    let archive = Tar::default()
        .forged("././@LongLink", &long(&link), |block| block[156] = b'K')
        .forged("././@LongLink", &long(&name), |block| block[156] = b'L')
        .symlink("cut", "off")
        .end();
    let members = read(&archive).unwrap();
    assert_eq!(
        (members[0].0.name.as_slice(), members[0].0.link.as_slice()),
        (name.as_bytes(), link.as_bytes())
    );
    assert_eq!(members[0].0.offset, 0);
}

#[test]
fn v7_directories_and_signed_checksums_are_read() {
    let archive = Tar::default().forged("old/", b"", |block| {
        block[156] = 0;
        block[257..265].fill(0);
    });
    assert_eq!(
        read(&archive.end()).unwrap()[0].0.kind,
        MemberKind::New(Kind::Directory)
    );
    let mut archive = Tar::default()
        .forged("x", b"", |block| block[0] = 0xe9)
        .end();
    archive[148..156].fill(b' ');
    let sum: i32 = archive[..BLOCK]
        .iter()
        .map(|&byte| i32::from(i8::from_ne_bytes([byte])))
        .sum();
    archive[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    assert_eq!(read(&archive).unwrap()[0].0.name, [0xe9]);
}

#[test]
fn gnu_times_are_not_taken_for_a_prefix() {
    let archive = Tar::default().forged("f", b"", |block| {
        block[257..265].copy_from_slice(b"ustar  \0");
        block[345..357].copy_from_slice(b"14000000000\0");
    });
    assert_eq!(read(&archive.end()).unwrap()[0].0.name, b"f");
}

#[test]
fn a_truncated_archive_is_an_error_with_its_offset() {
    let whole = Tar::default()
        .file("a", "x")
        .file("b", &"y".repeat(600))
        .end();
    let second = 2 * BLOCK;
    for cut in [
        second + 1,
        second + BLOCK - 1,
        second + BLOCK,
        second + BLOCK + 599,
        second + BLOCK + 700,
    ] {
        let (offset, reason) = reason(&whole[..cut]);
        assert_eq!(offset, second as u64, "{cut}: {reason}");
    }
    // Without an end marker it is short, but whole.
    assert_eq!(read(&whole[..second + 3 * BLOCK]).unwrap().len(), 2);
}

#[test]
fn what_the_header_lies_about_is_refused() {
    let octal =
        |digits: &'static [u8; 12]| move |block: &mut [u8]| block[124..136].copy_from_slice(digits);
    let lies: [(&str, Vec<u8>); 6] = [
        (
            "larger than there is",
            Tar::default()
                .forged("a", b"", octal(b"00000007777\0"))
                .end(),
        ),
        (
            "negative",
            Tar::default()
                .forged("a", b"", |block| block[124..136].fill(0xff))
                .end(),
        ),
        (
            "no number",
            Tar::default()
                .forged("a", b"", octal(b"00000xyz777\0"))
                .end(),
        ),
        (
            "huge",
            extended(Tar::default(), b'x', &[("size", b"18446744073709551615")])
                .file("a", "")
                .end(),
        ),
        (
            "uid",
            extended(Tar::default(), b'x', &[("uid", b"4294967295")])
                .file("a", "")
                .end(),
        ),
        (
            "unknown type",
            Tar::default()
                .forged("a", b"", |block| block[156] = b'Z')
                .end(),
        ),
    ];
    for (name, archive) in lies {
        assert!(
            matches!(read(&archive), Err(Error::Archive { .. })),
            "{name}"
        );
    }
    let mut damaged = Tar::default().file("a", "x").end();
    damaged[0] ^= 1;
    assert!(reason(&damaged).1.contains("checksum"));
    let huge = Tar::default().forged("x", b"", |block| {
        block[156] = b'x';
        block[124..136].copy_from_slice(b"77777777777\0");
    });
    assert!(reason(&huge.end()).1.contains("extended header"));
}

#[test]
fn the_size_of_a_directory_or_link_is_no_content() {
    let archive = Tar::default().forged("l", b"", |block| {
        block[156] = b'2';
        block[157] = b't';
        block[124..136].copy_from_slice(b"00000001000\0");
    });
    let members = read(&archive.file("f", "x").end()).unwrap();
    assert_eq!(members.len(), 2);
    assert_eq!(members[1].1, b"x");
}

/// Readers that take one size for the member and the other for finding the next header see other members than the rest of
/// the world (GHSA-3pv8-6f4r-ffg2, CVE-2025-62518).
#[test]
fn the_size_in_a_pax_header_is_the_size() {
    let hidden = Tar::default().file("hidden", "").0;
    let sized = |size: &'static [u8]| extended(Tar::default(), b'x', &[("size", size)]);
    let in_header =
        |digits: &'static [u8; 12]| move |block: &mut [u8]| block[124..136].copy_from_slice(digits);
    // The header says nothing follows, PAX that a block does: it is content, whatever it looks like.
    let archive = sized(b"512").forged("a", &hidden, in_header(b"00000000000\0"));
    let members = read(&archive.file("next", "").end()).unwrap();
    assert_eq!(members.len(), 2);
    assert_eq!(members[0].1, hidden);
    // The other way round: what the header takes for content is a member.
    let mut archive = sized(b"0").forged("a", b"", in_header(b"00000001000\0"));
    archive.0.extend_from_slice(&hidden);
    let members = read(&archive.end()).unwrap();
    assert_eq!(members[1].0.name, b"hidden");
    // It is the member's, not that of a header in between.
    let long = [b"n".repeat(200).as_slice(), b"\0"].concat();
    let archive = sized(b"3")
        .forged("././@LongLink", &long, |block| block[156] = b'L')
        .file("cut", "abc")
        .file("next", "");
    let members = read(&archive.end()).unwrap();
    assert_eq!(members[0].0.name, b"n".repeat(200));
    assert_eq!((members[0].1.as_slice(), members.len()), (&b"abc"[..], 2));
}

#[test]
fn attributes_are_those_that_every_tar_writes_and_the_last_word_counts() {
    let tar = extended(
        Tar::default(),
        b'x',
        &[
            ("SCHILY.xattr.user.b", b"1"),
            ("LIBARCHIVE.xattr.user.b", b"MQ=="),
            ("SCHILY.xattr.user.a", b"2=3\n"),
            ("SCHILY.xattr.user.b", b"\0"),
        ],
    );
    let members = read(&tar.file("f", "").end()).unwrap();
    let expected = vec![
        (b"user.a".to_vec(), b"2=3\n".to_vec()),
        (b"user.b".to_vec(), b"\0".to_vec()),
    ];
    assert_eq!(members[0].0.xattrs, expected);
}

#[test]
fn many_attributes_take_no_longer_than_their_bytes() {
    let names: Vec<String> = (0..40_000)
        .rev()
        .map(|at| format!("SCHILY.xattr.{at}"))
        .collect();
    let records: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let members = read(&extended(Tar::default(), b'x', &records).file("f", "").end()).unwrap();
    assert_eq!(members[0].0.xattrs.len(), 40_000);
    assert!(members[0].0.xattrs.is_sorted());
}

#[test]
fn an_extended_header_with_nothing_after_it_is_refused() {
    let archive = extended(Tar::default(), b'x', &[("uid", b"1")]);
    assert!(reason(&archive.end()).1.contains("extended header"));
}

#[test]
fn a_lone_block_of_zeros_does_not_hide_what_follows() {
    let mut archive = vec![0; BLOCK];
    archive.extend(Tar::default().file("a", "x").end());
    assert!(reason(&archive).1.contains("zeros"));
}

#[test]
fn the_digest_covers_what_follows_the_end_too() {
    use sha2::Digest as _;
    let mut archive = Tar::default().file("a", "x").end();
    archive.extend_from_slice(&[7; 10_000]);
    let mut reader = Reader::new(archive.as_slice(), true, Limits::default());
    while reader.next_member().unwrap().is_some() {}
    let all = reader.finish().unwrap();
    assert_eq!(all.sha256, <[u8; 32]>::from(sha2::Sha256::digest(&archive)));
    assert_eq!(all.size, archive.len() as u64);
}

#[test]
fn a_member_is_read_by_its_clean_name_and_within_the_limit() {
    let archive = Tar::default()
        .file("a", "no")
        .file("./manifest.json", "[]")
        .end();
    let read = |name, limit| read_member(archive.as_slice(), &RelPath::new(name).unwrap(), limit);
    assert_eq!(read("manifest.json", 2).unwrap(), Some(b"[]".to_vec()));
    assert_eq!(read("absent", 2).unwrap(), None);
    assert!(matches!(
        read("manifest.json", 1),
        Err(Error::Archive { .. })
    ));
}

/// GNU tar is the second opinion on what we write.
#[test]
fn e10_gnu_tar_reads_what_we_write() {
    let long = "d/".repeat(80) + "name";
    let divided = format!("{}/{}", "p".repeat(120), "n".repeat(90));
    let xattrs = vec![(b"user.a".to_vec(), b"1".to_vec())];
    let archive = Tar::default()
        .put(&Header {
            uid: 4_000_000_000,
            gid: 3_000_000,
            mode: 0o4711,
            mtime: -86_400,
            xattrs: &xattrs,
            ..Tar::header(&long, Kind::Fifo)
        })
        .put(&Header {
            uid: 1,
            gid: 2,
            mode: 0o1777,
            ..Tar::header(&format!("{divided}/"), Kind::Directory)
        })
        .put(&Header {
            link: "l".repeat(150).as_bytes(),
            uid: 0,
            gid: 0,
            ..Tar::header("link", Kind::Symlink)
        })
        .put(&Header {
            uid: 0,
            gid: 0,
            rdev: libc::makedev(4095, 1_048_575),
            ..Tar::header("device", Kind::CharDevice)
        })
        .end();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar");
    std::fs::write(&path, archive).unwrap();
    let listed = std::process::Command::new("tar")
        .args(["--utc", "--full-time", "--numeric-owner", "-tvf"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(listed.stderr).unwrap(), "");
    let squeezed: Vec<_> = std::str::from_utf8(&listed.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        squeezed,
        [
            format!("prws--x--x 4000000000/3000000 0 1969-12-31 00:00:00 {long}"),
            format!("drwxrwxrwt 1/2 0 2001-09-09 01:46:40 {divided}/"),
            format!(
                "lrw-r--r-- 0/0 0 2001-09-09 01:46:40 link -> {}",
                "l".repeat(150)
            ),
            "crw-r--r-- 0/0 4095,1048575 2001-09-09 01:46:40 device".to_owned(),
        ]
    );
}
