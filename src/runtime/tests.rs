//! The HTTP interface as programs meet it, over sockets.

mod hostile;
mod kept;
mod recorded;
mod runs;

use super::*;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// A server of its own, which stops when this is dropped.
struct Served {
    addr: SocketAddr,
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Served {
    fn start() -> Self {
        Self::with(None)
    }

    fn with(token: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            addr: "127.0.0.1:0".parse().unwrap(),
            data: folder.path().into(),
            place: Place::Host,
            hosts: Vec::new(),
            token: token.map(str::to_string),
        };
        let (stop, stopped) = oneshot::channel();
        let (told, addr) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::bind(options).await.unwrap();
                told.send(server.addr()).unwrap();
                server.run(async { drop(stopped.await) }).await;
            });
        });
        let addr = addr.recv().unwrap();
        Served { addr, folder, stop: Some(stop), thread: Some(thread) }
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends these bytes and reads the answer until the server closes.
    fn send(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that has seen enough may close before all is sent.
        let _ = stream.write_all(bytes);
        Answer::read(stream)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        self.ask_with(method, path, "", body)
    }

    fn ask_with(&self, method: &str, path: &str, headers: &str, body: Option<&str>) -> Answer {
        let content = body.map_or(String::new(), |body| {
            format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
        });
        let body = body.unwrap_or_default();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.addr);
        self.send(format!("{head}connection: close\r\n{headers}{content}\r\n{body}").as_bytes())
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None)
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, Some(&body.to_string()))
    }

    /// Has it stop, and waits until it has.
    fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn read(mut stream: impl Read) -> Self {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes); // what came before a reset counts
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = bytes.get(end + 4..).unwrap_or_default().to_vec();
        Answer { status, head, body }
    }

    /// The body, of this status.
    #[track_caller]
    fn json(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// The problem's name, of this status.
    #[track_caller]
    fn problem(&self, status: u16) -> String {
        let problem = self.json(status);
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        assert_eq!(problem["status"], status);
        for field in ["title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        problem["type"].as_str().unwrap().strip_prefix("urn:gvpie:problem:").unwrap().to_string()
    }
}
