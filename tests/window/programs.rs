//! Programs in the window, and what its headless twin draws of them.

use super::{Desktop, display, open, program, run, windowed};
use crate::golden::decode;
use gvpie_core::pixel::{Cartridge, assemble};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The canvas has the colour of the keys, a white pixel where the mouse is, and one of the buttons.
const PORTS: &str = ".canvas 64 32\n.meta name Ports\nl: IN r1 18\nMUL r1 4\nPAPERR r1\nCLS\n\
    IN r2 8\nIN r3 9\nPLOT r2 r3 #ffffff\nIN r4 10\nSHL r4 16\nPENR r4\nSET r5 0\n\
    PLOT r5 r5\nYIELD\nJMP l\n";

/// Writes each byte of its input plus one, and then stops with a fault.
const ECHO: &str = ".meta name Echo\n.canvas 8 8\nl: IN r1 17\nSLT r2 r1 0\nIF r2 e\n\
    ADD r1 1\nOUT 16 r1\nJMP l\ne: RECT 0 0 8 4\nTRAP 1\n";

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn cartridge(text: &str) -> Vec<u8> {
    Cartridge::new(assemble(text).unwrap()).encode().unwrap()
}

fn picture(path: &Path) -> (usize, Vec<u32>) {
    decode(&std::fs::read(path).unwrap())
}

/// A frame of this size with a canvas of 64 by 32 on it: `zoom` times as large, every `step`-th
/// pixel.
fn framed(
    size: [usize; 2],
    zoom: usize,
    step: usize,
    pixel: impl Fn(usize, usize) -> u32,
) -> Vec<u32> {
    let seen = [64_usize.div_ceil(step) * zoom, 32_usize.div_ceil(step) * zoom];
    let mut frame = vec![0xff00_0000; size[0] * size[1]];
    for y in 0..seen[1] {
        for x in 0..seen[0] {
            let at = ((size[1] - seen[1]) / 2 + y) * size[0] + (size[0] - seen[0]) / 2 + x;
            frame[at] = 0xff00_0000 | pixel(x / zoom * step, y / zoom * step);
        }
    }
    frame
}

/// The picture of [`PORTS`].
fn ports(keys: u32, mouse: [usize; 2], buttons: u32) -> impl Fn(usize, usize) -> u32 {
    move |x, y| match [x, y] {
        [0, 0] => buttons << 16,
        place if place == mouse => 0xff_ffff,
        _ => 4 * keys,
    }
}

impl Desktop {
    fn title(&self) -> String {
        self.xdotool(&["getwindowname", &self.window])
    }

    /// Waits until the title has these words.
    fn is_called(&self, words: &str) {
        let start = Instant::now();
        while !self.title().contains(words) {
            assert!(start.elapsed() < Duration::from_secs(30), "'{}', not {words}", self.title());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn headless_programs_are_drawn_as_gvpie_run_does() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/programs");
    let (ours, theirs) = (folder.path().join("a.png"), folder.path().join("b.png"));
    for (name, frames) in [("plasma", "4"), ("snake", "90"), ("maze", "50"), ("hello_world", "2")] {
        let path = samples.join(name).with_extension("pxl");
        let text = std::fs::read_to_string(&path).unwrap();
        let card = write(folder.path(), "card.pxl.png", cartridge(&text));
        let mut command = Command::new(env!("CARGO_BIN_EXE_gvpie"));
        command.args(["run", "--backend", "cpu", "--frames", frames, "-o"]).args([&theirs, &card]);
        assert_eq!(run(&mut command).0, Some(0), "{name}");
        for file in [&path, &card] {
            let mut command = Command::new(&program);
            command.args(["--headless", "--frames", frames, "--out"]).args([&ours, file]);
            assert_eq!(run(&mut command), (Some(0), String::new()), "{name}");
            assert!(picture(&ours) == picture(&theirs), "{name}");
        }
    }
    // In a frame, and with keys.
    let card = write(folder.path(), "ports.pxl.png", cartridge(PORTS));
    let mut command = Command::new(&program);
    command.args(["--headless", "--size", "200x90", "--keys", "{Left} ", "--frames", "2", "--out"]);
    assert_eq!(run(command.args([&ours, &card])), (Some(0), String::new()));
    let expected = framed([200, 90], 2, 1, ports(16, [0, 0], 0));
    assert!(picture(&ours) == (200, expected));
}

#[test]
fn mistakes_in_programs_are_told_with_their_place_and_without_a_window() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let card = cartridge(PORTS);
    let mut damaged = card.clone();
    damaged[card.len() / 2] ^= 1;
    let shot = folder.path().join("shot.png");
    for (name, bytes, words) in [
        ("bad.pxl", b"NOP\n ADDD r1 r2\nJMP x\n".to_vec(), ["bad.pxl', 2:2: ", "2 errors"]),
        ("cut.pxl.png", card[..card.len() / 2].to_vec(), ["cut.pxl.png' is no", "PNG"]),
        ("damaged.pxl.png", damaged, ["damaged.pxl.png' is no", "PNG"]),
        ("text.pxl.png", PORTS.into(), ["text.pxl.png' is no", "PNG"]),
        (
            "art.png",
            std::fs::read("tests/golden/glyphs-5x7.png").unwrap(),
            ["art.png' is no", "expected"],
        ),
    ] {
        let path = write(folder.path(), name, bytes);
        let arguments = [&["--headless", "--out", shot.to_str().unwrap()][..], &[]];
        for arguments in arguments {
            let mut command = Command::new(&program);
            // Without a display, a window would be refused in other words.
            command.args(arguments).arg(&path).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
            let (code, errors) = run(&mut command);
            assert_eq!((code, errors.lines().count()), (Some(1), 1), "{errors}");
            assert!(words.iter().all(|word| errors.contains(word)), "{errors}");
        }
        assert!(!shot.exists(), "{name}");
    }

    // A fault is told after the picture of its moment is saved.
    let path = write(folder.path(), "echo.pxl", ECHO);
    let output = Command::new(&program)
        .args(["--headless", "--frames", "3", "--keys", "HAL", "--out"])
        .args([&shot, &path])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b"IBM"[..]), "{errors}");
    assert!(errors.contains("echo.pxl': fault 7, trap, at instruction 7"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    let (width, pixels) = picture(&shot);
    assert_eq!((width, pixels[0], pixels[63]), (8, u32::MAX, 0xff00_0000));
}

#[test]
fn gpu_window_runs_programs() {
    let Some(program) = windowed() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (_server, display) = display();

    let card = write(folder.path(), "ports.pxl.png", cartridge(PORTS));
    let (mut child, desktop, log) =
        open(&program, &card, "640x400", "^Ports", &display, Stdio::null());
    let window = desktop.window.clone();
    let shows = |size: [usize; 2], zoom, step, pixels: &dyn Fn(usize, usize) -> u32, what: &str| {
        desktop.shows(&(size[0], framed(size, zoom, step, pixels)), what);
    };
    let size = [640, 400];
    desktop.xdotool(&["windowfocus", "--sync", &window]);
    desktop.xdotool(&["mousemove", "--window", &window, "123", "156"]);
    shows(size, 10, 1, &ports(0, [12, 11], 0), "the mouse");
    desktop.xdotool(&["keydown", "Right", "keydown", "Up"]);
    shows(size, 10, 1, &ports(6, [12, 11], 0), "two keys");
    desktop.xdotool(&["keyup", "Right", "keyup", "Up", "keydown", "space", "mousedown", "3"]);
    shows(size, 10, 1, &ports(16, [12, 11], 2), "a key and a button");
    desktop.xdotool(&[
        "keyup",
        "space",
        "mouseup",
        "3",
        "mousemove",
        "--window",
        &window,
        "639",
        "1",
    ]);
    shows(size, 10, 1, &ports(0, [63, 0], 0), "the mouse beside the canvas");
    desktop.is_called("Ports (running)");
    desktop.xdotool(&["key", "F6"]);
    desktop.is_called("Ports (paused)");
    desktop.xdotool(&["mousemove", "--window", &window, "123", "156"]);
    desktop.xdotool(&["windowsize", "--sync", &window, "333", "222"]);
    shows([333, 222], 5, 1, &ports(0, [63, 0], 0), "paused, in a smaller window");
    desktop.xdotool(&["key", "F12"]);
    desktop.xdotool(&["windowsize", "--sync", &window, "50", "40"]);
    shows([50, 40], 1, 2, &ports(0, [63, 0], 0), "a window smaller than the canvas");
    desktop.xdotool(&["windowsize", "--sync", &window, "1000", "600"]);
    desktop.xdotool(&["key", "F6"]);
    desktop.xdotool(&["mousemove", "--window", &window, "500", "300"]);
    shows([1000, 600], 15, 1, &ports(0, [32, 16], 0), "going on");
    let saved = picture(&folder.path().join("gvpie-1.png"));
    assert!(saved == (333, framed([333, 222], 5, 1, ports(0, [63, 0], 0))), "F12");
    desktop.xdotool(&["key", "Escape"]);
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_to_string(log).unwrap(), "saved gvpie-1.png\n");

    let text = write(folder.path(), "echo.pxl", ECHO);
    let said = folder.path().join("said");
    let stdout = std::fs::File::create(&said).unwrap().into();
    let (mut child, desktop, log) = open(&program, &text, "64x64", "^Echo", &display, stdout);
    desktop.xdotool(&["windowfocus", "--sync", &desktop.window]);
    for begins in 1..=2 {
        desktop.is_called("Echo (input awaited)");
        desktop.xdotool(&["type", "--delay", "20", "HAL"]);
        desktop.xdotool(&["key", "ctrl+d"]);
        desktop.is_called("Echo (fault 7, trap, at instruction 7");
        assert_eq!(std::fs::read_to_string(&said).unwrap(), "IBM".repeat(begins));
        let log = std::fs::read_to_string(&log).unwrap();
        assert_eq!(log.lines().count(), begins, "{log}");
        assert!(log.contains("echo.pxl': fault 7, trap, at instruction 7"), "{log}");
        let lower = (0..64 * 64).map(|at| if at / 64 < 32 { u32::MAX } else { 0xff00_0000 });
        desktop.shows(&(64, lower.collect()), "the picture of the fault");
        desktop.xdotool(&["key", "F5"]);
    }
    desktop.is_called("Echo (input awaited)");
    desktop.xdotool(&["key", "Escape"]);
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}
