//! `gvpie run`, `asm`, `disasm`, `cart` and `pxl`.

use super::{failed, gvpie, on_cpu, said, succeeded};
use crate::golden;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

const HELLO: &str = "TXT 10 10 Hello World\nHALT\n";

const WRONG: &str = ".canvas 0 8\nADDD r1 r2\nJMP nowhere\n";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let count = "l: IN r1 17\nSLT r2 r1 0\nIF r2 e\nADD r1 1\nOUT 16 r1\nJMP l\ne: HALT\n";
    let frames = ".canvas 8 4\n.meta id frames\nl: IN r1 7\nIN r2 3\nPLOT r1 r2\nYIELD\nJMP l\n";
    for (name, text) in [
        ("hello.pxl", HELLO),
        ("wrong.pxl", WRONG),
        ("count.pxl", count),
        ("frames.pxl", frames),
        ("endless.pxl", "a: JMP a"),
        ("trap.pxl", "NOP\nTRAP 3"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Width and pixels of a picture.
fn picture(path: &Path) -> (usize, Vec<u32>) {
    golden::decode(&std::fs::read(path).unwrap())
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_program_runs_and_its_canvas_is_a_picture() {
    let f = folder();
    let output = on_cpu(&f, &["run", "hello.pxl", "-o", "hello.png", "--json"]);
    succeeded(&output);
    let report = json(&output);
    for (key, value) in [
        ("success", true.into()),
        ("cycles_executed", 2.into()),
        ("instruction_pointer", 1.into()),
        ("backend_used", "cpu".into()),
        ("status", "halted".into()),
        ("stdout", "".into()),
        ("error", serde_json::Value::Null),
    ] {
        assert_eq!(report[key], value, "{key}");
    }
    assert!(report["execution_time_ms"].is_f64() && report["fuel"].as_u64() > Some(2));
    assert_eq!(report["canvas_sha256"].as_str().map(str::len), Some(64));
    let (width, pixels) = picture(&f.path().join("hello.png"));
    assert_eq!((width, pixels.len()), (128, 128 * 64));
    assert!(pixels.contains(&u32::MAX));
}

#[test]
fn ports_frames_lanes_and_limits_are_obeyed() {
    let f = folder();
    let output = on_cpu(&f, &["run", "count.pxl", "--input", "HAL"]);
    succeeded(&output);
    assert_eq!(output.stdout, b"IBM");

    succeeded(&on_cpu(&f, &["run", "frames.pxl", "--frames", "3", "-o", "a.png"]));
    let (_, pixels) = picture(&f.path().join("a.png"));
    assert_eq!(pixels.iter().filter(|&&pixel| pixel == u32::MAX).count(), 3);

    let arguments = ["run", "frames.pxl", "--frames", "5", "--lanes", "4", "-o", "a.gif"];
    succeeded(&on_cpu(&f, &[&arguments[..], &["--canvas", "6x2"]].concat()));
    let mut decoder =
        gif::Decoder::new(std::fs::File::open(f.path().join("a.gif")).unwrap()).unwrap();
    assert_eq!((decoder.width(), decoder.height()), (12, 4));
    let frames = std::iter::from_fn(|| decoder.read_next_frame().unwrap().map(drop)).count();
    assert_eq!(frames, 5);

    let output = on_cpu(&f, &["run", "endless.pxl", "--max-cycles", "1000"]);
    failed(&output, &["endless.pxl", "fault 6", "instruction 0", "1000 cycles"]);
    failed(&on_cpu(&f, &["run", "trap.pxl"]), &["fault 7", "instruction 1"]);
    succeeded(&on_cpu(&f, &["run", "hello.pxl", "--mode", "total", "--seed", "7", "--trace"]));
    let output = on_cpu(&f, &["run", "hello.pxl", "--trace"]);
    assert!(said(&output).lines().next().unwrap().contains("TXT 10 10"), "{}", said(&output));
    let output = on_cpu(&f, &["run", "trap.pxl", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(json(&output)["success"], false);
    assert_eq!(json(&output)["status"], "faulted");
}

#[test]
fn all_errors_are_told_and_nothing_is_written() {
    let f = folder();
    for arguments in
        [&["asm", "wrong.pxl", "-o", "out.pxl.png"][..], &["run", "wrong.pxl", "-o", "out.pxl.png"]]
    {
        let output = on_cpu(&f, arguments);
        assert_eq!(output.status.code(), Some(1));
        let message = said(&output);
        for word in
            ["3 errors", "wrong.pxl:1:9", "out-of-range", "did you mean ADD?", "wrong.pxl:3:5"]
        {
            assert!(message.contains(word), "'{word}' is not in: {message}");
        }
        assert!(!f.path().join("out.pxl.png").exists());
    }
    failed(&on_cpu(&f, &["run", "none.pxl"]), &["none.pxl"]);
    std::fs::write(f.path().join("bytes"), [0xff, 0xfe]).unwrap();
    failed(&on_cpu(&f, &["disasm", "bytes"]), &["bytes", "UTF-8"]);
}

#[test]
fn cartridges_are_made_told_checked_and_labelled() {
    let f = folder();
    succeeded(&on_cpu(&f, &["asm", "frames.pxl", "-o", "frames.pxl.png"]));
    succeeded(&on_cpu(&f, &["asm", "hello.pxl", "-o", "hello.pxl.png"]));
    let output = on_cpu(&f, &["run", "hello.pxl.png", "--json"]);
    assert_eq!(json(&output)["cycles_executed"], 2);
    let same = on_cpu(&f, &["run", "hello.pxl", "--json"]);
    assert_eq!(json(&output)["canvas_sha256"], json(&same)["canvas_sha256"]);

    let all = ["--id", "two", "--name", "Two", "--parents", "hello,frames", "--max-cycles", "9"];
    let arguments = [&["cart", "new", "frames.pxl.png", "-o", "two.pxl.png"], &all[..]].concat();
    succeeded(&on_cpu(&f, &arguments));
    let report = json(&on_cpu(&f, &["cart", "inspect", "two.pxl.png", "--json"]));
    assert_eq!((&report["id"], &report["max_cycles"]), (&"two".into(), &9.into()));
    assert_eq!(report["parents"], serde_json::json!(["hello", "frames"]));
    let told = on_cpu(&f, &["cart", "inspect", "hello.pxl.png"]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("id           hello\n"));
    let source = on_cpu(&f, &["cart", "inspect", "hello.pxl.png", "--source"]);
    assert_eq!(source.stdout, HELLO.as_bytes());

    succeeded(&on_cpu(&f, &["cart", "verify", "hello.pxl.png", "two.pxl.png"]));
    failed(&on_cpu(&f, &["cart", "verify", "hello.pxl"]), &["hello.pxl", "PNG"]);
    succeeded(&on_cpu(&f, &["run", "hello.pxl", "-o", "art.png"]));
    let before = std::fs::read(f.path().join("two.pxl.png")).unwrap();
    succeeded(&on_cpu(&f, &["cart", "label", "two.pxl.png", "art.png"]));
    let (width, pixels) = picture(&f.path().join("two.pxl.png"));
    assert_eq!((width, &pixels[..128 * 64]), (128, &picture(&f.path().join("art.png")).1[..]));
    assert_ne!(before, std::fs::read(f.path().join("two.pxl.png")).unwrap());
    succeeded(&on_cpu(&f, &["cart", "verify", "two.pxl.png"]));
    failed(&on_cpu(&f, &["cart", "new", "hello.pxl", "--id", "A b", "-o", "x"]), &["id", "A b"]);
}

#[test]
fn texts_come_back_and_the_reference_is_told() {
    let f = folder();
    succeeded(&on_cpu(&f, &["disasm", "frames.pxl", "-o", "again.pxl"]));
    succeeded(&on_cpu(&f, &["asm", "again.pxl", "-o", "again.pxl.png"]));
    succeeded(&on_cpu(&f, &["asm", "frames.pxl", "-o", "frames.pxl.png"]));
    let hash = |name| json(&on_cpu(&f, &["cart", "inspect", name, "--json"]))["sha256"].clone();
    assert_eq!(hash("again.pxl.png"), hash("frames.pxl.png"));
    for arguments in [&["pxl"][..], &["help", "pxl"]] {
        let output = gvpie(arguments).output().unwrap();
        succeeded(&output);
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(page.contains("LERPC ra rb rc rd") && page.contains("random"), "{page}");
    }
}

/// The programs that come along: each assembles, and draws without a fault for two seconds.
#[test]
fn sample_programs_run() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/programs");
    let f = tempfile::tempdir().unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        let output = on_cpu(&f, &["run", path.to_str().unwrap(), "--json", "-o", "out.png"]);
        succeeded(&output);
        let status = json(&output)["status"].clone();
        assert!(status == "halted" || status == "yielded", "{}: {status}", path.display());
        let (_, pixels) = picture(&f.path().join("out.png"));
        let mut colours = pixels;
        colours.sort_unstable();
        colours.dedup();
        assert!(colours.len() > 2, "{} draws nothing", path.display());
        count += 1;
    }
    assert_eq!(count, 13);
}
