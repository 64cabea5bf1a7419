//! The daemon, as processes on this machine: killed, without space, beside another, for a day.

mod alone;
mod crash;
mod network;
mod soak;
mod space;

use crate::adapter::{Wish, wish};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Draws a greeting: 2 cycles.
const HELLO: &str = "TXT 10 10 Hello World\nHALT\n";

fn gvpie(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gvpie"));
    command.args(arguments).args(["--backend", "cpu"]);
    for name in ["GVPIE_BACKEND", "GVPIE_DATA", "GVPIE_TOKEN", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// `gvpie serve` or `gvpie up` at a free port; it is killed when this is dropped.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn begin(command: &mut Command) -> Process {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let mut why = String::new();
            child.kill().unwrap();
            child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("it does not serve: {error}: {line}{why}")
        });
        let url = told["url"].as_str().unwrap().into();
        Process { child, url }
    }

    /// Server and daemon in a folder, a cycle each `interval` seconds.
    fn up(folder: &Path, interval: &str) -> Process {
        let data = folder.to_str().unwrap();
        let mut command = gvpie(&["up", "--json", "--addr", "127.0.0.1:0", "--data", data]);
        command.args(["--interval", interval]).env("RUST_LOG", "gvpie::daemon=warn");
        Process::begin(&mut command)
    }

    fn serve(folder: &Path) -> Process {
        Process::serve_at(folder, "127.0.0.1:0")
    }

    fn serve_at(folder: &Path, addr: &str) -> Process {
        let data = folder.to_str().unwrap();
        Process::begin(&mut gvpie(&["serve", "--json", "--addr", addr, "--data", data]))
    }

    /// What it has said on stderr, when it has ended.
    fn said(&mut self) -> String {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and whether it ends with status 0 within ten seconds.
    fn ends(&mut self) -> bool {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        let ended = until(Duration::from_secs(10), || self.child.try_wait().unwrap());
        ended.is_some_and(|status| status.success())
    }

    /// The status and the answer of a request, or `None` if there was none.
    fn ask(&self, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let agent = agent();
        let url = format!("{}{path}", self.url);
        let mut answer = match body {
            None => agent.get(url).call(),
            Some(body) => agent.post(url).send_json(body),
        }
        .ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.body_mut().read_json().ok()?))
    }

    /// Runs a program; whether it was acknowledged.
    fn runs(&self, uuid: &str, durable: bool) -> bool {
        let body = json!({ "source": HELLO, "run_uuid": uuid, "durable": durable });
        self.ask("/api/pixel/run", Some(&body)).is_some_and(|(status, _)| status == 200)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(20)))
        .build();
    config.new_agent()
}

/// Waits for something, so long at most.
fn until<T>(most: Duration, mut done: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + most;
    loop {
        if let Some(done) = done() {
            return Some(done);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The database, as `sqlite3` would open it.
fn database(folder: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(folder.join("db/daemon.db"), flags).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    database
}

fn number(folder: &Path, sql: &str) -> i64 {
    database(folder).query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A folder in which there are tables.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    drop(gvpie::store::Store::open(folder.path()).unwrap());
    folder
}

/// Adds a script as a person does with `sqlite3`.
fn insert(folder: &Path, name: &str, code: &str) {
    let sql = "INSERT INTO improvement_scripts (name, lang, code, created_at)
        VALUES (?1, 'pixel', ?2, datetime('now'))";
    database(folder).execute(sql, [name, code]).unwrap();
}

/// SQLite's structures, the map's chain, each run's row in the map: all whole.
fn check(folder: &Path) {
    let store = gvpie::store::Store::open(folder).unwrap();
    assert_eq!(store.integrity().unwrap(), "ok");
    let verdict = store.verify().unwrap();
    assert!(matches!(verdict, gvpie::store::Verdict::Whole { .. }), "{verdict:?}");
    for (wrong, sql) in [
        (
            "ended runs without a row of the map",
            "SELECT count(*) FROM improvement_runs r WHERE status <> 'running'
             AND NOT EXISTS (SELECT 1 FROM infinite_map m WHERE m.run_id = r.id)",
        ),
        (
            "scripts whose counters are not those of their runs",
            "SELECT count(*) FROM improvement_scripts s WHERE run_count <>
                (SELECT count(*) FROM improvement_runs r WHERE r.script_id = s.id
                 AND status IN ('ok', 'failed', 'skipped'))
             OR success_count <> (SELECT count(*) FROM improvement_runs r
                WHERE r.script_id = s.id AND status = 'ok')",
        ),
    ] {
        assert_eq!(number(folder, sql), 0, "{wrong}");
    }
}

/// Runs this test again in namespaces of its own, after `prepare` has run there as a shell's command with
/// the folder as `$0`. `None` inside: the test is to be done. Else whether it could be, and was.
fn in_namespaces(kind: &str, prepare: &str, test: &str) -> Option<()> {
    const INSIDE: &str = "GVPIE_TEST_NAMESPACES";
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let within = |command: &[&str]| -> std::io::Result<Output> {
        Command::new("unshare")
            .args([kind, "sh", "-c", &format!("{prepare} && exec \"$@\"")])
            .arg(folder.path())
            .args(command)
            .env(INSIDE, folder.path())
            .output()
    };
    match within(&["true"]) {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            left_out(&format!("{test}: unshare {kind}: {}", why.trim()));
            return Some(());
        }
        Err(error) => {
            left_out(&format!("{test}: unshare: {error}"));
            return Some(());
        }
    }
    let program = std::env::current_exe().unwrap();
    let output = within(&[program.to_str().unwrap(), "--exact", test, "--nocapture"]).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{told}");
    assert!(output.status.success() && told.contains("1 passed"), "{told}{said}");
    Some(())
}

/// Says that something cannot be tested here; where everything is to be, that is a failure.
fn left_out(why: &str) {
    assert!(wish() != Wish::Require, "GVPIE_GPU=require: {why}");
    eprintln!("SKIPPED {why}");
}

/// The folder that was prepared for a test inside.
fn prepared() -> std::path::PathBuf {
    std::env::var_os("GVPIE_TEST_NAMESPACES").unwrap().into()
}
