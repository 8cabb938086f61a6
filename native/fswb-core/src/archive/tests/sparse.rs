//! Files with holes, in the four forms there are.

use super::*;

const PARTS: [(u64, &[u8]); 3] = [(1000, b"one"), (5000, b"two!"), (9000, b"")];
const SIZE: u64 = 9000;

fn content() -> Vec<u8> {
    let mut content = vec![0; SIZE as usize];
    for (offset, bytes) in PARTS {
        content[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    content
}

fn stored() -> Vec<u8> {
    PARTS.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect()
}

fn pair(offset: u64, length: u64) -> Vec<u8> {
    format!("{offset:011o}\0{length:011o}\0").into_bytes()
}

/// In GNU's own format; `forge` has the last word on the header.
fn old(pairs: &[(u64, u64)], size: u64, stored: &[u8], forge: impl FnOnce(&mut [u8])) -> Tar {
    Tar::default().forged("f", stored, |block| {
        block[156] = b'S';
        block[257..265].copy_from_slice(b"ustar  \0");
        for (at, &(offset, length)) in pairs.iter().take(4).enumerate() {
            block[386 + 24 * at..][..24].copy_from_slice(&pair(offset, length));
        }
        block[483..495].copy_from_slice(format!("{size:011o}\0").as_bytes());
        forge(block);
    })
}

fn parts() -> Vec<(u64, u64)> {
    let parts = PARTS.iter();
    parts
        .map(|&(offset, bytes)| (offset, bytes.len() as u64))
        .collect()
}

fn with_map(records: &[(&str, &str)], stored: &[u8]) -> Tar {
    let records: Vec<_> = records
        .iter()
        .map(|&(key, value)| (key, value.as_bytes()))
        .collect();
    extended(Tar::default(), b'x', &records).forged("GNUSparseFile.1/f", stored, |_| {})
}

fn map_text(pairs: &[(u64, u64)]) -> Vec<u8> {
    let mut text = format!("{}\n", pairs.len());
    for (offset, length) in pairs {
        text += &format!("{offset}\n{length}\n");
    }
    let mut text = text.into_bytes();
    text.resize(text.len().next_multiple_of(BLOCK), 0);
    text
}

#[test]
fn all_four_forms_are_read_and_what_follows_them() {
    let old = old(&parts(), SIZE, &stored(), |_| {});
    let pax_0_0 = with_map(
        &[
            ("GNU.sparse.size", "9000"),
            ("GNU.sparse.numblocks", "3"),
            ("GNU.sparse.offset", "1000"),
            ("GNU.sparse.numbytes", "3"),
            ("GNU.sparse.offset", "5000"),
            ("GNU.sparse.numbytes", "4"),
            ("GNU.sparse.offset", "9000"),
            ("GNU.sparse.numbytes", "0"),
            ("path", "f"),
        ],
        &stored(),
    );
    let pax_0_1 = with_map(
        &[
            ("GNU.sparse.map", "1000,3,5000,4,9000,0"),
            ("GNU.sparse.size", "9000"),
            ("GNU.sparse.numblocks", "3"),
            ("GNU.sparse.name", "f"),
        ],
        &stored(),
    );
    let pax_1_0 = with_map(
        &[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "f"),
            ("GNU.sparse.realsize", "9000"),
        ],
        &[map_text(&parts()), stored()].concat(),
    );
    for (form, tar) in [
        ("old", old),
        ("0.0", pax_0_0),
        ("0.1", pax_0_1),
        ("1.0", pax_1_0),
    ] {
        let members = read(&tar.file("next", "x").end()).unwrap();
        assert_eq!(members.len(), 2, "{form}");
        let (member, bytes) = &members[0];
        assert_eq!(
            (member.name.as_slice(), member.size),
            (&b"f"[..], SIZE),
            "{form}"
        );
        assert_eq!(bytes, &content(), "{form}");
        assert_eq!(members[1].1, b"x", "{form}");
    }
}

#[test]
fn a_map_goes_on_in_blocks_behind_the_header() {
    let parts: Vec<_> = (0..40).map(|at| (at * 10, 1)).collect();
    let mut archive = old(&parts, 400, b"", |block| {
        block[482] = 1;
        block[124..136].copy_from_slice(b"00000000050\0");
    })
    .0;
    for (more, rest) in [(1, &parts[4..25]), (0, &parts[25..])] {
        let mut block = [0; BLOCK];
        for (at, &(offset, length)) in rest.iter().enumerate() {
            block[24 * at..][..24].copy_from_slice(&pair(offset, length));
        }
        block[504] = more;
        archive.extend_from_slice(&block);
    }
    let cut = archive.clone();
    archive.extend_from_slice(&[b'x'; 40]);
    archive.resize(archive.len() + BLOCK - 40, 0);
    let members = read(&Tar(archive).end()).unwrap();
    let expected: Vec<u8> = (0..400)
        .map(|at| if at % 10 == 0 { b'x' } else { 0 })
        .collect();
    assert_eq!(members[0].1, expected);
    let (_, reason) = reason(&cut[..cut.len() - BLOCK]);
    assert!(reason.contains("map"), "{reason}");
}

#[test]
fn a_map_that_lies_is_refused_before_anything_is_written() {
    let pax = |records: &[(&str, &str)], stored: &[u8]| with_map(records, stored).end();
    let first = |major, size: &'static str| {
        [
            ("GNU.sparse.major", major),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.realsize", size),
        ]
    };
    for (lie, archive) in [
        ("overlap", old(&[(0, 2), (1, 2)], 9, b"1234", |_| {}).end()),
        ("past the end", old(&[(8, 2)], 9, b"12", |_| {}).end()),
        ("more than stored", old(&[(0, 3)], 9, b"12", |_| {}).end()),
        ("less than stored", old(&[(0, 1)], 9, b"12", |_| {}).end()),
        (
            "no number",
            old(&[(0, 1)], 9, b"1", |block| block[387] = b'x').end(),
        ),
        (
            "negative",
            old(&[(0, 1)], 9, b"1", |block| block[386..398].fill(0xff)).end(),
        ),
        (
            "negative size",
            old(&[], 9, b"", |block| block[483..495].fill(0xff)).end(),
        ),
        (
            "not GNU's",
            old(&[(0, 1)], 9, b"1", |block| block[263] = b'0').end(),
        ),
        ("unknown", pax(&first("2", "9"), b"")),
        ("no map", pax(&first("1", "9"), &[b'x'; BLOCK])),
        ("no number of pairs", pax(&first("1", "9"), &[b'\n'; BLOCK])),
        (
            "a map without end",
            pax(&first("1", "9"), &map_text(&[(0, 1); 60])[..BLOCK]),
        ),
        ("a map cut off", pax(&first("1", "9"), b"1\n0\n")),
        (
            "so many pairs",
            pax(
                &first("1", "9"),
                &b"9223372036854775808\n".repeat(26)[..BLOCK],
            ),
        ),
        (
            "a size no file has",
            pax(&first("1", "9999999999999999999"), &map_text(&[])),
        ),
        (
            "an odd map",
            pax(
                &[("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,1,2")],
                b"1",
            ),
        ),
        ("a map of words", pax(&[("GNU.sparse.map", "0,x")], b"")),
        ("a length first", pax(&[("GNU.sparse.numbytes", "1")], b"1")),
        (
            "two offsets",
            pax(
                &[("GNU.sparse.offset", "1"), ("GNU.sparse.offset", "1")],
                b"",
            ),
        ),
        ("star's", pax(&[("SCHILY.realsize", "9")], b"")),
    ] {
        let refused = read(&archive);
        assert!(
            matches!(refused, Err(Error::Archive { .. })),
            "{lie}: {refused:?}"
        );
    }
}

#[test]
fn l18_holes_count_as_what_they_unpack_to() {
    let huge = 1 << 40;
    let archive = old(&[(0, 0)], 0, b"", |block| {
        block[483..495].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
        block[386..398].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
    })
    .end();
    let limits = |max_bytes| Limits {
        max_bytes: Some(max_bytes),
        max_entries: None,
    };
    let first = |limit| Reader::new(archive.as_slice(), false, limits(limit)).next_member();
    assert_eq!(first(huge + 10_000).unwrap().unwrap().size, huge);
    assert!(matches!(first(huge), Err(Error::Archive { reason, .. }) if reason.contains("limit")));
}

/// GNU tar writes them all: it is the second opinion.
#[test]
fn what_gnu_tar_writes_sparsely_is_read() {
    use std::os::unix::fs::FileExt;
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("f")).unwrap();
    for at in 0..60_u64 {
        file.write_all_at(format!("part {at}").as_bytes(), at * 65_536 + at)
            .unwrap();
    }
    file.set_len(5_000_000).unwrap();
    let content = std::fs::read(directory.path().join("f")).unwrap();
    for form in [
        "--format=gnu",
        "--sparse-version=0.0",
        "--sparse-version=0.1",
        "--sparse-version=1.0",
    ] {
        let mut tar = std::process::Command::new("tar");
        tar.arg("-C")
            .arg(directory.path())
            .args(["--sparse", "--hole-detection=raw"]);
        if form.starts_with("--sparse") {
            tar.arg("--format=posix");
        }
        let written = tar.args([form, "-cf", "-", "f"]).output().unwrap();
        assert_eq!(String::from_utf8(written.stderr).unwrap(), "", "{form}");
        assert!(written.stdout.len() < 1_000_000, "{form} is not sparse");
        let members = read(&written.stdout).unwrap();
        assert_eq!(members.len(), 1);
        assert_eq!(members[0].0.name, b"f", "{form}");
        assert_eq!(members[0].0.size, 5_000_000, "{form}");
        assert!(members[0].1 == content, "{form}");
    }
}
