//! No connection beyond this machine.

use super::*;

#[test]
fn an_address_beyond_this_machine_is_refused_before_any_packet() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for api in ["http://192.0.2.1:8081", "http://example.com:8081"] {
        let output = gvpie(&["daemon", "--data", data, "--api", api]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("--allow-network"), "{said}");
    }
    assert!(!folder.path().join("daemon.lock").exists(), "nothing was begun");
}

/// Each address that a process connects or sends to, as strace tells it.
fn addresses(arguments: &[&str], seconds: Option<&str>) -> Vec<String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let path = log.path().to_str().unwrap();
    let trace = ["-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", path];
    let mut strace = Command::new(if seconds.is_some() { "timeout" } else { "strace" });
    if let Some(seconds) = seconds {
        strace.args(["--signal", "TERM", seconds, "strace"]);
    }
    let program = gvpie(arguments);
    strace.args(trace).arg(program.get_program()).args(program.get_args());
    strace.env_remove("GVPIE_DATA").env_remove("GVPIE_TOKEN");
    let output = strace.output().unwrap();
    let told = std::fs::read_to_string(log.path()).unwrap();
    assert!(seconds.is_none() || told.contains("connect("), "{output:?}");
    let calls = told.lines().filter(|line| line.contains("sin_addr") || line.contains("sin6_addr"));
    calls.map(str::to_string).collect()
}

#[test]
fn no_packet_leaves_as_the_system_sees_it() {
    let works = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    if !works.as_ref().is_ok_and(|output| output.status.success()) {
        return super::left_out(&format!("strace does not work here: {works:?}"));
    }
    let folder = folder();
    insert(folder.path(), "hello", HELLO);
    let data = folder.path().to_str().unwrap();
    for api in ["http://192.0.2.1:8081", "http://example.com:8081"] {
        let found = addresses(&["daemon", "--data", data, "--api", api], None);
        assert_eq!(found, [""; 0]);
    }
    let up = ["up", "--addr", "127.0.0.1:0", "--interval", "0.1", "--data", data];
    let found = addresses(&up, Some("6"));
    assert!(!found.is_empty(), "the daemon speaks to its server");
    for call in &found {
        assert!(call.contains("127.0.0.1") || call.contains("\"::1\""), "{call}");
    }
    let runs = number(folder.path(), "SELECT count(*) FROM improvement_runs WHERE status = 'ok'");
    println!("{runs} runs, {} connections, all to this machine", found.len());
    assert!(runs > 0);
}

#[test]
fn it_works_where_there_is_no_network() {
    let name = "daemon::network::it_works_where_there_is_no_network";
    if in_namespaces("-rn", "ip link set lo up", name).is_some() {
        return;
    }
    let folder = folder();
    insert(folder.path(), "hello", HELLO);
    let mut up = Process::up(folder.path(), "0.1");
    let ran = until(Duration::from_secs(10), || {
        let sql = "SELECT count(*) FROM improvement_runs WHERE status = 'ok'";
        (number(folder.path(), sql) > 2).then_some(())
    });
    assert!(ran.is_some());
    assert!(up.runs("0b0f7a2e-50b5-4f2c-9a3e-3e62f1f1c002", true));
    assert!(up.ends());
}
