//! One daemon a folder, what a person inserts into it, and how it ends.

use super::*;

#[test]
fn what_a_person_inserts_is_run_within_a_cycle_and_two_daemons_do_not_meet() {
    let folder = folder();
    let mut up = Process::up(folder.path(), "0.2");
    insert(folder.path(), "hello", HELLO);
    let goal = "INSERT INTO development_goals (goal, created_at) VALUES ('grow', datetime('now'))";
    database(folder.path()).execute(goal, []).unwrap();
    let ran = until(Duration::from_secs(5), || {
        let sql = "SELECT count(*) FROM improvement_runs WHERE status = 'ok' AND cycles = 2
            AND canvas_sha256 IS NOT NULL";
        (number(folder.path(), sql) > 0).then_some(())
    });
    assert!(ran.is_some(), "the script was not run");
    let (status, scripts) = up.ask("/status", None).unwrap();
    assert_eq!((status, &scripts["scripts"]), (200, &json!(1)));

    let data = folder.path().to_str().unwrap();
    let second = gvpie(&["daemon", "--data", data, "--api", &up.url]).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    let id = up.child.id();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert_eq!(said.trim(), format!("gvpie: '{data}' has a daemon already: process {id}"));
    let other = gvpie(&["up", "--data", data, "--addr", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(other.status.code(), Some(1), "{}", String::from_utf8_lossy(&other.stderr));
    // The lock is the daemon's role: a server may share the folder.
    let mut beside = Process::serve(folder.path());
    assert!(beside.runs("0b0f7a2e-50b5-4f2c-9a3e-3e62f1f1c001", true));
    assert!(beside.ends());
    assert!(up.ends(), "SIGTERM");
    // After it, another may begin; and the log has gone into the database.
    let log = folder.path().join("db/daemon.db-wal");
    assert!(!log.metadata().is_ok_and(|log| log.len() > 0));
    check(folder.path());
    let mut up = Process::up(folder.path(), "0.2");
    assert!(up.ends());
}

#[test]
fn a_daemon_of_its_own_works_beside_its_server_and_outlives_it() {
    let folder = folder();
    insert(folder.path(), "hello", HELLO);
    let mut server = Process::serve(folder.path());
    let data = folder.path().to_str().unwrap();
    let arguments = ["daemon", "--data", data, "--api", &server.url, "--interval", "0.1"];
    let child = gvpie(&arguments).env("RUST_LOG", "gvpie=info").stderr(Stdio::piped()).spawn();
    let mut daemon = Process { child: child.unwrap(), url: String::new() };
    let runs = || number(folder.path(), "SELECT count(*) FROM improvement_runs");
    let wait = |what: &str, done: &dyn Fn() -> bool| {
        assert!(until(Duration::from_secs(5), || done().then_some(())).is_some(), "{what}");
    };
    wait("it does not run", &|| runs() > 2);
    let (_, status) = server.ask("/status", None).unwrap();
    assert!(status["daemon"]["cycle"].as_i64() > Some(0), "{status}");
    assert!(server.ends());
    let away = "SELECT count(*) FROM system_metrics WHERE context LIKE '%is not well%'";
    wait("it does not notice", &|| number(folder.path(), away) > 2);
    let before = runs();
    let server = Process::serve_at(folder.path(), server.url.trim_start_matches("http://"));
    wait("it does not go on", &|| runs() > before + 2);
    assert!(daemon.ends());
    let said = daemon.said();
    let warned = said.lines().filter(|line| line.contains("WARN")).count();
    assert_eq!((warned, said.matches("all is well again").count()), (2, 1), "{said}");
    drop(server);
    check(folder.path());
}
