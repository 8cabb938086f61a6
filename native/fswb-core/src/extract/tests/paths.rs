//! Where a member lands (hazards L), and hard links (hazards D).

use super::*;

#[test]
fn l1_a_name_with_dotdot_is_refused_and_nothing_leaves_the_root() {
    for name in ["../x", "a/../../x", "/../x", "a/.."] {
        let mut rootfs = Rootfs::new();
        assert!(
            reason(rootfs.apply(tar().file(name, "evil"))).contains(".."),
            "{name}"
        );
        assert!(
            reason(rootfs.add("", tar().file(name, "evil"))).contains(".."),
            "{name}"
        );
        assert!(
            reason(rootfs.apply(tar().hard_link("h", name))).contains(".."),
            "{name}"
        );
        assert!(!rootfs.directory.path().join("x").exists());
    }
}

#[test]
fn l2_a_file_through_a_link_stays_inside_the_root() {
    let mut rootfs = Rootfs::new();
    let outside = rootfs.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap().to_owned();
    rootfs
        .apply(tar().symlink("out", &target).file("out/f", "x"))
        .unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(
        rootfs.read(&format!("{}/f", target.trim_start_matches('/'))),
        "x"
    );
}

#[test]
fn l2_a_file_over_a_link_replaces_the_link() {
    let mut rootfs = Rootfs::new();
    let victim = rootfs.directory.path().join("victim");
    fs::write(&victim, "kept").unwrap();
    let layer = tar()
        .symlink("l", victim.to_str().unwrap())
        .file("l", "new");
    rootfs.apply(layer).unwrap();
    assert_eq!(fs::read_to_string(victim).unwrap(), "kept");
    assert_eq!(rootfs.read("l"), "new");
}

#[test]
fn l3_a_link_with_surplus_dotdot_is_clamped_at_the_root() {
    let layer = tar()
        .directory("usr/bin")
        .symlink("bin", "../../../usr/bin")
        .file("bin/sh", "#!");
    assert_eq!(Rootfs::new().with(layer).read("usr/bin/sh"), "#!");
}

#[test]
fn l4_the_root_of_a_layer_stays_a_directory() {
    for name in ["./", ".", "/"] {
        let mut rootfs = Rootfs::new();
        assert!(
            reason(rootfs.apply(tar().symlink(name, "/tmp"))).contains("root"),
            "{name}"
        );
        assert!(rootfs.at("").symlink_metadata().unwrap().is_dir());
    }
    let link = tar().hard_link("./", "f");
    assert!(reason(Rootfs::new().with(tar().file("f", "")).apply(link)).contains("root"));
}

#[test]
fn a_layer_under_a_merged_bin_lands_in_usr() {
    let mut rootfs = Rootfs::new().with(tar().file("usr/bin/old", "").symlink("bin", "usr/bin"));
    rootfs
        .apply(tar().file("bin/new", "x").file("bin/.wh.old", ""))
        .unwrap();
    assert_eq!(rootfs.names(), ["bin", "usr", "usr/bin", "usr/bin/new"]);
    assert!(rootfs.at("bin").symlink_metadata().unwrap().is_symlink());
    assert!(!rootfs.exists("usr/bin/old"));
}

#[test]
fn a_file_below_a_file_is_refused() {
    let mut rootfs = Rootfs::new().with(tar().file("f", ""));
    assert!(reason(rootfs.apply(tar().file("f/x", ""))).contains("directory"));
}

#[test]
fn links_that_lead_in_a_circle_are_the_fault_of_the_member_that_goes_through_them() {
    let circle = || tar().symlink("a", "b").symlink("b", "a");
    for layer in [
        circle().file("a/f", ""),
        circle().file("a/.wh.f", ""),
        circle().file("a/d/.wh..wh..opq", ""),
        circle().hard_link("h", "a/f"),
    ] {
        assert!(reason(Rootfs::new().apply(layer)).contains("in a circle"));
    }
    assert!(reason(Rootfs::new().add("", circle().file("a/f", ""))).contains("in a circle"));
    let many = (0..45).fold(tar(), |layer, number| {
        layer.symlink(&format!("l{number}"), &format!("l{}", number + 1))
    });
    let layer = many.directory("l45").file("l0/f", "");
    assert!(reason(Rootfs::new().apply(layer)).contains("too many others"));
}

#[test]
fn a_name_that_no_file_system_can_hold_is_refused_by_the_member_that_has_it() {
    let long = "n".repeat(256);
    for layer in [
        tar().file(&long, ""),
        tar().file(&format!("{long}/f"), ""),
        tar().file(&format!(".wh.{long}"), ""),
        tar().file(&format!("{long}/.wh..wh..opq"), ""),
        tar().hard_link("h", &long),
    ] {
        assert!(reason(Rootfs::new().apply(layer)).contains("a name of 256 bytes"));
    }
    assert!(reason(Rootfs::new().add("", tar().file(&long, ""))).contains("256 bytes"));
    let fits = &long[1..];
    let whiteout = format!(".wh.{fits}");
    let mut rootfs = Rootfs::new().with(tar().file(fits, ""));
    rootfs.apply(tar().file(&whiteout, "")).unwrap();
    assert!(!rootfs.exists(fits));
}

#[test]
fn a_symbolic_link_that_nobody_can_make_is_refused() {
    let target = "t".repeat(4096);
    let refused = reason(Rootfs::new().apply(tar().symlink("l", &target)));
    assert!(refused.contains("4096 bytes"));
    assert!(reason(Rootfs::new().add("", tar().symlink("l", &target))).contains("4096 bytes"));
    assert!(reason(Rootfs::new().apply(tar().symlink("l", ""))).contains("without a target"));
    Rootfs::new().with(tar().symlink("l", &target[1..]));
}

#[test]
fn an_error_about_a_name_without_end_is_of_one_line() {
    let name = "x".repeat(100_000);
    let refused = Rootfs::new().apply(tar().file(&name, "")).unwrap_err();
    assert!(refused.to_string().len() < 500, "{refused}");
    let layer = tar().hard_link("h", &"d/".repeat(1000));
    let refused = Rootfs::new().apply(layer).unwrap_err();
    assert!(refused.to_string().len() < 500, "{refused}");
}

#[test]
fn d2_hard_link_targets_are_below_the_root_with_or_without_slash() {
    let rootfs = Rootfs::new().with(
        tar()
            .file("f", "x")
            .hard_link("g", "/f")
            .hard_link("h", "./f"),
    );
    assert_eq!(rootfs.at("g").metadata().unwrap().nlink(), 3);
}

#[test]
fn d5_a_link_to_a_lower_file_renews_the_evidence_of_all_names() {
    let mut rootfs = Rootfs::new().with(tar().file("a", "x").hard_link("b", "a").file("c", ""));
    // `apply` compares the record of every name with the disk.
    rootfs.apply(tar().hard_link("d", "a")).unwrap();
    rootfs.apply(tar().file(".wh.a", "")).unwrap();
    rootfs.apply(tar().file("b", "parted")).unwrap();
    assert_eq!(rootfs.read("d"), "x");
    assert_eq!(rootfs.baseline.entry(&path("d")).unwrap().nlink, 1);
    rootfs
        .apply(tar().file("e/x", "").hard_link("e/y", "d"))
        .unwrap();
    rootfs.apply(tar().file(".wh.e", "")).unwrap();
}

#[test]
fn a_hard_link_to_what_is_not_there_is_refused() {
    let base = || Rootfs::new().with(tar().file("d/f", "x").symlink("l", "/etc"));
    assert!(reason(base().apply(tar().hard_link("h", "no"))).contains("does not exist"));
    assert!(reason(base().apply(tar().hard_link("h", "no/f"))).contains("does not exist"));
    assert!(reason(base().apply(tar().hard_link("h", "d"))).contains("directory"));
    assert!(reason(base().apply(tar().hard_link("h", "/"))).contains("directory"));
    assert!(reason(base().apply(tar().hard_link("d/f", "d/f"))).contains("itself"));
    assert!(reason(base().apply(tar().hard_link("d", "d/f"))).contains("does not exist"));
    assert!(reason(base().apply(tar().hard_link("h", "l/passwd"))).contains("does not exist"));
}

#[test]
fn a_hard_link_to_a_link_is_one_more_name_of_the_link() {
    let rootfs = Rootfs::new().with(tar().symlink("l", "/etc/passwd").hard_link("m", "l"));
    assert!(rootfs.at("m").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn a_hard_link_member_is_no_entry_of_its_own() {
    // The header of a link repeats the inode's metadata; what it says is not applied.
    let header = Header {
        mode: 0o777,
        link: b"f",
        kind: MemberKind::HardLink,
        ..Tar::header("g", Kind::File)
    };
    let rootfs = Rootfs::new().with(tar().file("f", "").put(&header));
    assert_eq!(
        rootfs.at("f").metadata().unwrap().permissions().mode() & 0o7777,
        0o644
    );
}

#[test]
fn a_name_of_absurd_length_is_refused_at_once() {
    let name = "a/".repeat(100_000);
    assert!(reason(Rootfs::new().apply(tar().file(&name, ""))).contains("200000 bytes"));
}

#[test]
fn a_path_of_absurd_depth_is_refused_and_a_deep_one_costs_no_more_than_its_depth() {
    let name = "a/".repeat(5000);
    assert!(reason(Rootfs::new().apply(tar().file(&name, ""))).contains("more than 1024 levels"));
    // Different ways down, each of a thousand levels: work that grows with the square would take minutes.
    let mut rootfs = Rootfs::new();
    let mut layer = tar();
    for number in 0..2 {
        layer = layer.directory(&format!("{number}/{}", "0123456789/".repeat(1000)));
    }
    let unpack = |rootfs: &mut Rootfs, layer: Tar| {
        let layer = layer.end();
        unpack_layer(
            &rootfs.root,
            &mut rootfs.baseline,
            layer.as_slice(),
            Limits::default(),
        )
        .unwrap();
        rootfs.baseline.len()
    };
    assert_eq!(unpack(&mut rootfs, layer), 2002);
    let gone = (0..2).fold(tar(), |layer, number| {
        layer.file(&format!(".wh.{number}"), "")
    });
    assert_eq!(unpack(&mut rootfs, gone), 0);
}

#[test]
fn global_headers_are_not_collected_without_end() {
    let record = |key: &str, length: usize| {
        let rest = format!(" SCHILY.xattr.user.{key}={}\n", "v".repeat(length));
        let digits = rest.len().to_string().len();
        format!("{}{rest}", rest.len() + digits)
    };
    for (flag, length) in [(b'g', 30_000), (b'x', 500_000)] {
        let mut layer = tar();
        for key in ["a", "b", "c"] {
            let records = record(key, length);
            layer = layer.forged("h", records.as_bytes(), |block| block[156] = flag);
        }
        let refused = reason(Rootfs::new().apply(layer.file("f", "")));
        assert!(refused.contains("too many bytes"), "{refused}");
    }
}
