//! `gvpie render`.

use super::{failed, gvpie, on_cpu, picture, said, succeeded};

#[test]
fn render_draws_texts_of_every_shape() {
    let f = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(f.path().join(name), text).unwrap();
    write("hi.txt", "hello\nworld!");
    write("long.txt", &"x".repeat(300));
    write("tab.txt", "\tI");
    write("spaces.txt", "   I");
    write("odd.txt", "字a字");
    write("empty.txt", "");
    let size = |arguments: &[&str]| {
        let output = on_cpu(&f, &[&["render", "-o", "o.png"], arguments].concat());
        succeeded(&output);
        let (width, height, _) = picture(&f.path().join("o.png"));
        ((width, height), said(&output))
    };
    assert_eq!(size(&["hi.txt"]).0, (6 * 6, 2 * 8));
    assert_eq!(size(&["hi.txt", "--cell", "5x7"]).0, (6 * 5, 2 * 7));
    assert_eq!(size(&["hi.txt", "--cell", "8x8", "--columns", "4"]).0, (4 * 8, 4 * 8));
    assert_eq!(size(&["long.txt"]).0, (128 * 6, 3 * 8));
    assert_eq!(size(&["empty.txt"]).0, (6, 8));
    let (extent, words) = size(&["odd.txt"]);
    assert_eq!(extent, (3 * 6, 8));
    assert!(words.contains("2 characters have no glyph"), "{words}");

    size(&["tab.txt", "--tab", "3"]);
    let tabbed = picture(&f.path().join("o.png"));
    size(&["spaces.txt"]);
    assert_eq!(tabbed, picture(&f.path().join("o.png")));
    let ink = tabbed.2.chunks(4).filter(|pixel| *pixel == [255; 4]).count();
    assert!(ink > 5, "nothing was drawn");
}

#[test]
fn render_splits_what_no_texture_holds() {
    let f = tempfile::tempdir().unwrap();
    let lines: String = (0..2049).map(|i| format!("{i}\n")).collect();
    std::fs::write(f.path().join("tall.txt"), lines).unwrap();
    let output = on_cpu(&f, &["render", "tall.txt", "-o", "t.png", "--json"]);
    succeeded(&output);
    assert!(said(&output).contains("split into 2 files"), "{}", said(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["files"], serde_json::json!(["t-1.png", "t-2.png"]));
    assert_eq!(picture(&f.path().join("t-1.png")).1, 16_384);
    assert_eq!(picture(&f.path().join("t-2.png")).1, 8);
    assert!(!f.path().join("t.png").exists());
}

#[test]
fn render_names_what_is_no_text() {
    let f = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(f.path().join(name), bytes).unwrap();
    write("bad.txt", b"ab\xffcd");
    write("binary", b"\x7fELF\x00\x01");
    write("hi.txt", b"hi");
    let cases: [(&[&str], &[&str]); 6] = [
        (&["missing.txt"], &["missing.txt", "No such file"]),
        (&["bad.txt"], &["bad.txt", "invalid UTF-8 at byte 2"]),
        (&["binary"], &["binary", "byte 4"]),
        (&["."], &["directory"]),
        (&["hi.txt", "--columns", "40000"], &["--columns may be at most 2730"]),
        (&["hi.txt", "--columns", "999999999999"], &["columns=999999999999"]),
    ];
    for (arguments, words) in cases {
        failed(&on_cpu(&f, &[&["render", "-o", "o.png"], arguments].concat()), words);
        assert!(!f.path().join("o.png").exists());
    }
    failed(&on_cpu(&f, &["render", "hi.txt", "-o", "no/o.png"]), &["no/o.png", "cannot write"]);
    for arguments in [&["--columns", "0"][..], &["--tab", "0"], &["--cell", "9x9"]] {
        let all = [&["render", "hi.txt", "-o", "o.png"], arguments].concat();
        assert_eq!(on_cpu(&f, &all).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn gpu_pictures_equal_the_cpu_s() {
    if crate::adapter::gpu().is_none() {
        return;
    }
    let f = tempfile::tempdir().unwrap();
    let text = "│ Größe, œuvre ▓▒░\n\t¿tabs?\n".repeat(40);
    std::fs::write(f.path().join("t.txt"), text).unwrap();
    for cell in ["5x7", "6x8", "8x8"] {
        let render = ["render", "t.txt", "-o", "cpu.png", "--cell", cell];
        succeeded(&on_cpu(&f, &render));
        let render = ["render", "t.txt", "-o", "gpu.png", "--cell", cell, "--backend", "gpu"];
        succeeded(&gvpie(&render).current_dir(&f).output().unwrap());
        let [cpu, gpu] = ["cpu.png", "gpu.png"].map(|name| picture(&f.path().join(name)));
        assert!(cpu == gpu, "{cell}");
    }
}
