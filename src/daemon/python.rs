//! Scripts in Python: in a sandbox without network, or not at all.

use crate::store::{Outcome, RunStatus};
use std::cell::OnceCell;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a script may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Bytes of what it writes, to each of stdout and stderr, that are kept; the rest is read and dropped.
const MOST_OUTPUT: u64 = 1 << 20;

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Its own namespaces for users, processes, network, names, mounts; the system's programs to read; a small
/// folder in memory to write to; nothing of the environment; the end with the daemon's.
const SANDBOX: &[&str] = &[
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--clearenv",
    "--setenv",
    "PATH",
    "/usr/bin",
    "--ro-bind",
    "/usr",
    "/usr",
    "--symlink",
    "usr/bin",
    "/bin",
    "--symlink",
    "usr/lib",
    "/lib",
    "--symlink",
    "usr/lib64",
    "/lib64",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--size",
    "16777216",
    "--tmpfs",
    "/tmp",
    "--chdir",
    "/tmp",
    "--hostname",
    "sandbox",
];

/// An empty line on stderr says that the sandbox stands; 1 GiB of memory, no core file; the program comes by
/// stdin. It sees neither the user's packages nor the environment.
const PYTHON: &[&str] = &[
    "/usr/bin/sh",
    "-c",
    "echo >&2 && ulimit -v 1048576 && ulimit -c 0 && exec /usr/bin/python3 -I -",
];

/// Where scripts in Python are run.
#[derive(Debug)]
pub(super) struct Sandbox {
    allowed: bool,
    limit: Duration,
    /// Why it does not work, found out with the first script.
    works: OnceCell<Result<(), String>>,
}

impl Sandbox {
    pub fn new(allowed: bool) -> Self {
        Sandbox { allowed, limit: LIMIT, works: OnceCell::new() }
    }

    /// What comes of a script: it is skipped where Python is switched off or cannot be kept in a sandbox.
    pub fn run(&self, code: &str, stopped: impl Fn() -> bool) -> Outcome {
        if !self.allowed {
            return skipped("Python is switched off; --allow-python switches it on, in a sandbox");
        }
        let works = self.works.get_or_init(|| match self.attempt("", &|| false) {
            Ok(outcome) if outcome.status == RunStatus::Ok => Ok(()),
            Ok(outcome) => Err(format!("the sandbox does not work: {}", outcome.stderr.trim())),
            Err(error) => Err(format!("bwrap, which makes the sandbox, cannot be run: {error}")),
        });
        if let Err(why) = works {
            return skipped(why);
        }
        self.attempt(code, &stopped).unwrap_or_else(|error| skipped(&format!("bwrap: {error}")))
    }

    fn attempt(&self, code: &str, stopped: &dyn Fn() -> bool) -> std::io::Result<Outcome> {
        let began = Instant::now();
        let mut child = Command::new("bwrap")
            .args(SANDBOX)
            .args(PYTHON)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let stands = AtomicBool::new(false);
        let (ended, stdout, stderr) = thread::scope(|scope| {
            scope.spawn(move || {
                // One that ends without reading its program says why itself.
                stdin.map(|mut stdin| stdin.write_all(code.as_bytes()))
            });
            let stdout = scope.spawn(move || read(stdout));
            let stderr = scope.spawn(|| said(stderr, &stands));
            let over = || Instant::now() >= began + self.limit || stopped();
            let ended = wait(&mut child, || stands.load(Ordering::Relaxed) && over());
            let text = |bytes: thread::Result<Vec<u8>>| {
                String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
            };
            (ended, text(stdout.join()), text(stderr.join()))
        });
        let fault = match ended? {
            Ended::Done(status) if status.success() => None,
            Ended::Done(status) => Some(status.to_string()),
            Ended::Late => Some(format!("stopped after {:?}", self.limit)),
        };
        let stderr = match &fault {
            Some(fault) if stderr.is_empty() => fault.clone(),
            Some(fault) => format!("{}\n{fault}", stderr.trim_end()),
            None => stderr,
        };
        let status = if fault.is_none() { RunStatus::Ok } else { RunStatus::Failed };
        let duration = began.elapsed().as_millis() as u64;
        Ok(Outcome { stdout, duration, backend: "cpu", ..Outcome::unrun(status, stderr) })
    }
}

enum Ended {
    Done(std::process::ExitStatus),
    Late,
}

/// Waits for its end, or ends it; with bwrap goes all that runs in it. Not so before the sandbox stands: what
/// bwrap has begun by then would be left behind, asleep, with the pipes open.
fn wait(child: &mut Child, over: impl Fn() -> bool) -> std::io::Result<Ended> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::Done(status));
        }
        if over() {
            child.kill()?;
            child.wait()?;
            return Ok(Ended::Late);
        }
        thread::sleep(LOOK);
    }
}

/// What comes on stderr, and that it does: behind the empty line that says that the sandbox stands. One that
/// does not stand says why, and no empty line first.
fn said(pipe: Option<impl Read>, stands: &AtomicBool) -> Vec<u8> {
    let Some(mut pipe) = pipe else { return Vec::new() };
    let mut first = [b'\n'];
    // A pipe that breaks has ended.
    let _ = pipe.read(&mut first);
    stands.store(true, Ordering::Relaxed);
    let first: &[u8] = if first == *b"\n" { &[] } else { &first };
    [first, &read(Some(pipe))].concat()
}

/// All of it, of which so much is kept.
fn read(pipe: Option<impl Read>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        // A pipe that breaks has ended.
        let _ = pipe.by_ref().take(MOST_OUTPUT).read_to_end(&mut kept);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    }
    kept
}

fn skipped(why: &str) -> Outcome {
    Outcome::unrun(RunStatus::Skipped, why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One in which scripts are run, unless the machine has no bwrap or does not let it work.
    fn sandbox() -> Option<Sandbox> {
        let sandbox = Sandbox { limit: Duration::from_secs(2), ..Sandbox::new(true) };
        let outcome = sandbox.run("", || false);
        if outcome.status == RunStatus::Skipped {
            let demanded = std::env::var("GVPIE_GPU").is_ok_and(|wish| wish == "require");
            assert!(!demanded, "GVPIE_GPU=require: {}", outcome.stderr);
            eprintln!("SKIPPED: {}", outcome.stderr);
            return None;
        }
        Some(sandbox)
    }

    #[test]
    fn python_is_skipped_unless_it_is_switched_on() {
        let outcome = Sandbox::new(false).run("print(1)", || false);
        assert_eq!((outcome.status, outcome.backend), (RunStatus::Skipped, "none"));
        assert!(outcome.stderr.contains("--allow-python"), "{}", outcome.stderr);
    }

    #[test]
    fn python_runs_without_network_files_or_environment() {
        let Some(sandbox) = sandbox() else { return };
        let run = |code| sandbox.run(code, || false);
        let outcome = run("print(6 * 7)");
        assert_eq!((outcome.status, outcome.stdout.as_str()), (RunStatus::Ok, "42\n"));
        let outcome = run("import os; print(sorted(os.environ), os.listdir('/'), os.getpid())");
        assert!(!outcome.stdout.contains("home") && !outcome.stdout.contains("etc"));
        assert!(!outcome.stdout.contains("CARGO"), "{}", outcome.stdout);
        for (code, why) in [
            (
                "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
                "Network is unreachable",
            ),
            ("open('/usr/x', 'w')", "Read-only file system"),
            ("import os; os.write(os.open('/tmp/x', 65), b'x' * (17 << 20))", ""),
            ("x = bytearray(2 << 30)", "MemoryError"),
            ("raise SystemExit(3)", "exit status: 3"),
            ("while True: pass", "stopped after 2s"),
        ] {
            let outcome = run(code);
            if !why.is_empty() {
                assert_eq!(outcome.status, RunStatus::Failed, "{code}");
            }
            assert!(outcome.stderr.contains(why), "{code}: {}", outcome.stderr);
        }
        let outcome = run("while True: print('x' * 4096)");
        assert_eq!(outcome.stdout.len() as u64, MOST_OUTPUT);
        for _ in 0..20 {
            let stopped = sandbox.run("while True: pass", || true);
            assert_eq!(stopped.status, RunStatus::Failed);
        }
    }
}
