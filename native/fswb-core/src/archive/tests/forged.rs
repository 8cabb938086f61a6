//! Archives that nobody wrote: whatever the bytes, there is an end and a proper error, never a panic.

use proptest::prelude::*;

use super::*;

/// Every form of header that the reader knows.
fn specimen() -> Vec<u8> {
    let long = [b"n".repeat(200).as_slice(), b"\0"].concat();
    let tar = extended(
        Tar::default(),
        b'g',
        &[
            ("comment", b"x"),
            ("mtime", b"1.5"),
            ("SCHILY.xattr.user.a", b"1"),
        ],
    );
    let tar = extended(
        tar.directory("d/"),
        b'x',
        &[("path", b"d/\xff"), ("uid", b"70000"), ("size", b"3")],
    );
    let tar = tar
        .file("d/cut", "abc")
        .forged("././@LongLink", &long, |block| block[156] = b'L')
        .forged("././@LongLink", &long, |block| block[156] = b'K')
        .symlink("l", "t")
        .hard_link("h", "d/cut")
        .put(&Tar::header("p", Kind::Fifo))
        .forged("old", b"12", |block| {
            block[156] = b'S';
            block[257..265].copy_from_slice(b"ustar  \0");
            block[386..410].copy_from_slice(b"00000000005\x0000000000002\0");
            block[483..495].copy_from_slice(b"00000000011\0");
        });
    let records: [(&str, &[u8]); 3] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.realsize", b"20"),
    ];
    let mut map = b"1\n7\n3\n".to_vec();
    map.resize(BLOCK, 0);
    map.extend_from_slice(b"xyz");
    extended(tar, b'x', &records)
        .forged("new", &map, |_| {})
        .file("last", &"y".repeat(700))
        .end()
}

#[derive(Debug, Clone)]
enum Damage {
    Byte(usize, u8),
    /// A whole field of a header: what a byte alone seldom makes valid.
    Field(usize, usize, Vec<u8>),
    Cut(usize),
    Twice(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let number = prop_oneof![
        Just(vec![0xff; 12]),
        Just(b"77777777777\0".to_vec()),
        Just(b"00000000000\0".to_vec()),
        Just(vec![
            0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
        ]),
        prop::collection::vec(any::<u8>(), 1..12),
    ];
    let field = prop::sample::select(vec![
        0, 100, 108, 124, 136, 156, 157, 257, 345, 386, 398, 482, 483,
    ]);
    let kind = prop::sample::select(b"0123456789xgLKSVDM\0".to_vec()).prop_map(|kind| vec![kind]);
    prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>())
            .prop_map(|(at, byte)| Damage::Byte(at.index(1 << 16), byte)),
        (0_usize..40, field, number).prop_map(|(block, at, bytes)| Damage::Field(block, at, bytes)),
        (0_usize..40, Just(156), kind)
            .prop_map(|(block, at, bytes)| Damage::Field(block, at, bytes)),
        (0_usize..40 * BLOCK).prop_map(Damage::Cut),
        (0_usize..40, 0_usize..40).prop_map(|(from, to)| Damage::Twice(from, to)),
    ]
}

fn apply(archive: &mut Vec<u8>, damage: &Damage) {
    let blocks = (archive.len() / BLOCK).max(1);
    match damage {
        Damage::Byte(at, byte) => {
            let length = archive.len().max(1);
            if let Some(place) = archive.get_mut(at % length) {
                *place = *byte;
            }
        }
        Damage::Field(block, at, bytes) => {
            let start = block % blocks * BLOCK + at;
            if let Some(place) = archive.get_mut(start..start + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
        Damage::Cut(at) => archive.truncate(*at),
        Damage::Twice(from, to) => {
            let start = from % blocks * BLOCK;
            if let Some(block) = archive.get(start..start + BLOCK).map(<[u8]>::to_vec) {
                let at = to % blocks * BLOCK;
                archive.splice(at..at, block);
            }
        }
    }
}

/// Makes the checksums right again: else no damage would get past them.
fn mend(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(BLOCK) {
        if block.iter().any(|&byte| byte != 0) {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
}

fn walk(archive: &[u8]) -> Result<u64> {
    let limits = Limits {
        max_bytes: Some(1 << 30),
        max_entries: None,
    };
    let mut reader = Reader::new(archive, true, limits);
    while let Some(member) = reader.next_member()? {
        let mut size = 0;
        while let Some(piece) = reader.piece()? {
            size += match piece {
                Piece::Data(bytes) => bytes.len() as u64,
                Piece::Hole(length) => length,
            };
        }
        if let MemberKind::New(Kind::File) = member.kind {
            assert_eq!(size, member.size, "a file that is not as long as it says");
        }
    }
    Ok(reader.finish()?.size)
}

#[test]
fn the_specimen_is_whole() {
    let archive = specimen();
    assert_eq!(walk(&archive).unwrap(), archive.len() as u64);
    assert_eq!(read(&archive).unwrap().len(), 8);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_forged_archive_is_read_to_its_end_or_refused(
        damages in prop::collection::vec(damage(), 1..6), mended in any::<bool>()
    ) {
        let mut archive = specimen();
        for damage in &damages {
            apply(&mut archive, damage);
        }
        if mended {
            mend(&mut archive);
        }
        match walk(&archive) {
            Ok(size) => prop_assert_eq!(size, archive.len() as u64),
            Err(Error::Archive { offset, reason, .. }) => {
                prop_assert!(offset <= archive.len() as u64 && !reason.is_empty());
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn bytes_that_are_no_archive_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..4 * BLOCK)) {
        mend(&mut bytes);
        match walk(&bytes) {
            Ok(_) | Err(Error::Archive { .. }) => {}
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}
