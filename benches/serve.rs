//! How fast `gvpie serve` answers: from the start to the first answer, one client after another, and
//! many at once. Run with `cargo bench --bench serve`; it serves itself, on a free port of the loopback.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The server, which is ended with this.
struct Served {
    process: Child,
    addr: String,
    started: Duration,
    _folder: tempfile::TempDir,
}

impl Served {
    fn start(backend: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let began = Instant::now();
        let mut process = Command::new(env!("CARGO_BIN_EXE_gvpie"))
            .args(["serve", "--json", "--addr", "127.0.0.1:0", "--backend", backend, "--data"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("gvpie starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("its address");
        let said: Value = serde_json::from_str(&line).expect("JSON");
        let addr = said["url"].as_str().expect("a URL").trim_start_matches("http://").to_string();
        let mut client = Client::to(&addr);
        assert_eq!(client.ask("GET", "/health", None).0, 200);
        Served { process, addr, started: began.elapsed(), _folder: folder }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection that is kept.
struct Client {
    addr: String,
    stream: BufReader<TcpStream>,
}

impl Client {
    fn to(addr: &str) -> Self {
        let stream = TcpStream::connect(addr).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Client { addr: addr.into(), stream: BufReader::new(stream) }
    }

    /// Status and bytes of an answer.
    fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> (u16, usize) {
        let body = body.unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.addr,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).expect("it is sent");
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("an answer");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().expect("a status");
            }
            if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse().expect("a length");
            }
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("a body");
        (status, length)
    }
}

/// 1024 cycles, with a picture.
fn program() -> String {
    let text = "RECT 4 4 60 30\nTXT 8 40 gvpie\na: ADD r1 r1 r2\nJMP a";
    json!({ "source": text, "canvas_width": 128, "canvas_height": 64, "max_cycles": 1024 })
        .to_string()
}

fn quantile(sorted: &[Duration], part: f64) -> f64 {
    let at = ((sorted.len() - 1) as f64 * part).round() as usize;
    sorted[at].as_secs_f64() * 1e3
}

fn one(served: &Served, backend: &str, runs: usize) {
    let mut client = Client::to(&served.addr);
    let body = program().replacen('{', &format!("{{\"backend\":\"{backend}\","), 1);
    for _ in 0..20 {
        assert_eq!(client.ask("POST", "/api/pixel/run", Some(&body)).0, 200);
    }
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(client.ask("POST", "/api/pixel/run", Some(&body)).0, 200);
            began.elapsed()
        })
        .collect();
    times.sort();
    let [half, most] = [0.5, 0.99].map(|part| quantile(&times, part));
    println!("one client, {backend:<4} {runs:>6} runs    p50 {half:>8.2} ms  p99 {most:>8.2} ms");
}

fn many(served: &Served, clients: usize, runs: usize) {
    let body = program();
    let began = Instant::now();
    let mut times: Vec<(u16, Duration)> = std::thread::scope(|scope| {
        let ask = || {
            let mut client = Client::to(&served.addr);
            (0..runs)
                .map(|_| {
                    let began = Instant::now();
                    (client.ask("POST", "/api/pixel/run", Some(&body)).0, began.elapsed())
                })
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a client")).collect()
    });
    let took = began.elapsed().as_secs_f64();
    times.sort_by_key(|(_, time)| *time);
    let refused = times.iter().filter(|(status, _)| *status != 200).count();
    let sorted: Vec<Duration> = times.iter().map(|(_, time)| *time).collect();
    let [half, most] = [0.5, 0.99].map(|part| quantile(&sorted, part));
    let rate = times.len() as f64 / took;
    println!(
        "{clients} clients, {:>6} runs    p50 {half:>8.2} ms  p99 {most:>8.2} ms  {rate:>8.0} runs/s  \
         {refused} refused",
        times.len()
    );
}

fn main() {
    let cpu = Served::start("cpu");
    println!("cold start {:.0} ms", cpu.started.as_secs_f64() * 1e3);
    one(&cpu, "cpu", 2000);
    many(&cpu, 64, 100);
    many(&cpu, 256, 25);
    drop(cpu);
    let gpu = Served::start("auto");
    println!("cold start {:.0} ms with a device", gpu.started.as_secs_f64() * 1e3);
    let mut client = Client::to(&gpu.addr);
    let body = r#"{"source":"HALT","backend":"gpu"}"#;
    match client.ask("POST", "/api/pixel/run", Some(body)).0 {
        200 => one(&gpu, "gpu", 300),
        status => println!("no GPU here ({status})"),
    }
    one(&gpu, "auto", 2000);
}
