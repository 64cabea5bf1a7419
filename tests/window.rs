//! The window, as a user sees it: the real one under Xvfb, driven by xdotool and photographed,
//! against the headless picture; and how the program speaks of mistakes.

mod programs;

use crate::adapter::{Wish, gpu, wish};
use crate::golden::decode;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The program, built beside this test; `None`, said aloud, where it was not.
fn program() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let path = folder.join(format!("gvpie-bootstrap{}", std::env::consts::EXE_SUFFIX));
    if path.exists() {
        return Some(path);
    }
    let words = format!("{} is missing: cargo build -p gvpie-bootstrap", path.display());
    assert!(wish() != Wish::Require, "GVPIE_GPU=require: {words}");
    eprintln!("SKIPPED: {words}");
    None
}

/// Whether a tool is installed; a missing one is said aloud.
fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("-version").output().is_ok();
    assert!(found || wish() != Wish::Require, "GVPIE_GPU=require: {tool} is not installed");
    if !found {
        eprintln!("SKIPPED: {tool} is not installed");
    }
    found
}

/// The program, where there is all that its window is tested with.
fn windowed() -> Option<PathBuf> {
    gpu()?;
    let program = program()?;
    ["Xvfb", "xdotool", "import"].into_iter().all(has).then_some(program)
}

fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

/// A process that ends with the test, however that ends.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

/// A display of its own, by its name. Its number is this process's and this call's, so that no other
/// test on the machine looks for the same; and it outlives its clients, of which some are gone at
/// once.
fn display() -> (Ends, String) {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let name = format!(":{}", 1000 + 4 * (std::process::id() % 12_500) + call);
    let mut server = Command::new("Xvfb")
        .args([&name, "-displayfd", "1", "-screen", "0", "1024x640x24"])
        .args(["-nolisten", "tcp", "-noreset"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut number = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
    assert_eq!(format!(":{}", number.trim()), name, "Xvfb did not start");
    (Ends(server), name)
}

struct Desktop {
    display: String,
    window: String,
}

impl Desktop {
    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("DISPLAY", &self.display);
        command
    }

    fn xdotool(&self, arguments: &[&str]) -> String {
        let output = self.tool("xdotool").args(arguments).output().unwrap();
        assert!(output.status.success(), "xdotool {arguments:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }

    fn screenshot(&self) -> (usize, Vec<u32>) {
        let output = self.tool("import").args(["-window", &self.window, "png:-"]).output().unwrap();
        if output.status.success() { decode(&output.stdout) } else { (0, Vec::new()) }
    }

    /// Waits until the window shows this picture; what it shows at last is kept where it does not.
    fn shows(&self, expected: &(usize, Vec<u32>), what: &str) {
        let start = Instant::now();
        loop {
            let seen = self.screenshot();
            if seen == *expected {
                return;
            }
            if start.elapsed() > Duration::from_secs(30) {
                let (width, pixels) = seen;
                let differ = pixels.iter().zip(&expected.1).filter(|(a, b)| a != b).count();
                let actual = std::env::temp_dir().join("gvpie-window.actual.png");
                self.tool("import").args(["-window", &self.window]).arg(&actual).output().unwrap();
                panic!(
                    "{what}: {differ} of {} pixels differ, width {width} against {}; see {}",
                    expected.1.len(),
                    expected.0,
                    actual.display()
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Opens the program's window on a file, in its folder, and waits until there is one of this name;
/// what it says on stderr is in the file that comes with it.
fn open(
    program: &Path,
    file: &Path,
    size: &str,
    name: &str,
    display: &str,
    said: Stdio,
) -> (Ends, Desktop, PathBuf) {
    let log = file.with_extension("log");
    let child = Command::new(program)
        .args(["--size", size])
        .arg(file)
        .current_dir(file.parent().unwrap())
        .env("DISPLAY", display)
        .env_remove("WAYLAND_DISPLAY")
        .env("WINIT_X11_SCALE_FACTOR", "1")
        .stdout(said)
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut child = Ends(child);
    let mut desktop = Desktop { display: display.into(), window: String::new() };
    let start = Instant::now();
    while desktop.window.is_empty() {
        let search = desktop.tool("xdotool").args(["search", "--name", name]).output().unwrap();
        let found = String::from_utf8_lossy(&search.stdout).trim().to_string();
        desktop.window = found.lines().next().unwrap_or_default().to_string();
        let told = || std::fs::read_to_string(&log).unwrap();
        assert!(child.0.try_wait().unwrap().is_none(), "the window closed: {}", told());
        assert!(start.elapsed() < Duration::from_secs(60), "no window: {}", told());
        std::thread::sleep(Duration::from_millis(50));
    }
    (child, desktop, log)
}

#[test]
fn gpu_window_shows_what_the_headless_twin_draws() {
    let Some(program) = windowed() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.txt");
    std::fs::write(&file, "╔═ first ═╗\nsecond line, é and 字\n").unwrap();

    let headless = |keys: &str, size: &str, backend: &str| {
        let shot = folder.path().join("shot.png");
        let (code, errors) = run(Command::new(&program)
            .args(["--headless", "--size", size, "--keys", keys, "--backend", backend, "--out"])
            .args([&shot, &file]));
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{keys}");
        decode(&std::fs::read(shot).unwrap())
    };

    let (mut server, display) = display();
    let (_child, desktop, log) =
        open(&program, &file, "640x400", "^gvpie$", &display, Stdio::null());
    assert_eq!(server.0.try_wait().unwrap(), None, "Xvfb ended by itself");
    let window = desktop.window.clone();

    desktop.shows(&headless("", "640x400", "cpu"), "the first frame");
    desktop.xdotool(&["windowfocus", "--sync", &window]);
    desktop.xdotool(&["type", "--delay", "20", "Typed {here}"]);
    desktop.xdotool(&["key", "--delay", "20", "Return", "Left", "BackSpace", "End"]);
    let keys = "Typed {{here}{Enter}{Left}{Backspace}{End}";
    desktop.shows(&headless(keys, "640x400", "gpu"), "after typing");
    desktop.xdotool(&["key", "F12"]);
    desktop.xdotool(&["key", "F2"]);
    desktop.shows(&headless(&format!("{keys}{{F2}}"), "640x400", "cpu"), "the machine's view");
    let saved = decode(&std::fs::read(folder.path().join("gvpie-1.png")).unwrap());
    assert!(saved == headless(keys, "640x400", "cpu"), "F12 saves another picture");
    desktop.xdotool(&["key", "F2"]);
    desktop.xdotool(&["windowsize", "--sync", &window, "333", "222"]);
    // The grid of the new size is not that of the old, where the text was typed.
    let mut resized = headless(keys, "333x222", "cpu");
    desktop.shows(&resized, "a smaller window");
    desktop.xdotool(&["windowsize", "--sync", &window, "1000", "600"]);
    resized = headless(keys, "1000x600", "gpu");
    desktop.shows(&resized, "a larger window");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "");
}

#[test]
fn the_bootstrap_names_mistakes_on_one_line() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let shot = folder.path().join("shot.png");
    let told = |arguments: &[&str], text: &Path, out: &Path| {
        run(Command::new(&program)
            .args(["--headless", "--backend", "cpu"])
            .args(arguments)
            .arg("--out")
            .args([out, text]))
    };
    let good = file("good.txt", b"good");
    assert_eq!(told(&[], &good, &shot), (Some(0), String::new()));
    let drawn = std::fs::read(&shot).unwrap();

    let fails = |text: &Path, out: &Path, words: &str| {
        let (code, errors) = told(&[], text, out);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains(words) && errors.contains("; "), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    };
    fails(&folder.path().join("missing.txt"), &shot, "cannot read");
    fails(folder.path(), &shot, "cannot read");
    fails(&file("bad.txt", b"abc\xFFdef"), &shot, "invalid UTF-8 at byte 3");
    fails(&file("binary", b"\x7FELF\0"), &shot, "zero byte at byte 4");
    fails(&good, &folder.path().join("nowhere/shot.png"), "cannot write");
    fails(&good, folder.path(), "cannot write");
    assert_eq!(std::fs::read(&shot).unwrap(), drawn, "a failure touched the picture");

    let (code, errors) = told(&["--keys", "{Entre}"], &good, &shot);
    assert!(code == Some(2) && errors.contains("no key is named 'Entre'"), "{errors}");
    for arguments in [["--frames", "0"], ["--size", "0x9"], ["--scale", "x"]] {
        let (code, errors) = told(&arguments, &good, &shot);
        assert_eq!(code, Some(2), "{errors}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 4, "something was left behind: {left:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_bootstrap_without_a_display_says_how_to_go_on() {
    let Some(program) = program() else { return };
    for display in [None, Some(":4093")] {
        let mut command = Command::new(&program);
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
        command.envs(display.map(|name| ("DISPLAY", name)));
        let (code, errors) = run(&mut command);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains("no display") && errors.contains("--headless"), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}
