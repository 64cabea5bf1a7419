//! The API as the daemon uses it: HTTP without TLS, on this machine unless said otherwise.

use super::Error;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, http};

/// How long the API may take to say that it is well, or to hear news.
const HEALTH: Duration = Duration::from_secs(2);

/// How long a run may take, waiting and answer included: the API stops one after 10 seconds.
const RUN: Duration = Duration::from_secs(30);

/// Bytes of an answer at most: a canvas of 512 x 512 in base64 and what the program wrote.
const MOST_ANSWER: u64 = 16 << 20;

/// Connections are not used again that have been idle for so long: the API may be about to close them.
const IDLE: Duration = Duration::from_secs(3);

/// Speaks with the API. Copies share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// What the API says of a program that it has run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Whether it came to its end without a fault.
    pub success: bool,
    /// Instructions that it ran.
    pub cycles_executed: u64,
    /// Milliseconds that it took.
    pub execution_time_ms: f64,
    /// Where it ran: `cpu` or `gpu`.
    pub backend_used: String,
    /// The fault.
    pub error: Option<String>,
    /// Instructions and drawing that were paid for.
    pub fuel: u64,
    /// What it wrote.
    pub stdout: String,
    /// The canvas's width and height.
    pub canvas: Option<[u32; 2]>,
    /// The canvas, as base64 of its bytes: red, green, blue and alpha of each pixel, row by row.
    pub canvas_data: Option<String>,
    /// The hash of these bytes.
    pub canvas_sha256: Option<String>,
    /// What else there is to know, as that the device was lost.
    pub notice: Option<String>,
}

/// What has come of a program that the API was asked to run.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It was run.
    Ran(Box<Report>),
    /// It does not assemble; what is wrong with it.
    Broken(String),
    /// It cannot be run as it is.
    Refused(String),
    /// It was not run, and not because of what it is.
    NotNow(String),
    /// It is not known whether it was run.
    Lost(String),
}

impl Client {
    /// To an address like `http://127.0.0.1:8081`. No connection is made yet.
    ///
    /// Unless `allow_network`, only addresses of loopback and the name `localhost` will do, and no other
    /// is ever connected to: names are not even asked for, since that is a connection, too. Redirects are
    /// not followed, and proxies of the environment not used.
    ///
    /// # Errors
    /// [`Error::Address`].
    pub fn new(api: &str, allow_network: bool, token: Option<String>) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Address { address: api.into(), why: why.into() };
        let uri: Uri = api.parse().map_err(|_| wrong("it is no URL"))?;
        let plain = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
        if uri.scheme_str() != Some("http") || !plain {
            return Err(wrong("expected http://HOST:PORT"));
        }
        let host = uri.host().ok_or_else(|| wrong("it names no host"))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("it names a user; GVPIE_TOKEN is what the API asks for"));
        }
        if !allow_network && loopback(host).is_none() {
            return Err(wrong(
                "it is not on this machine (127.0.0.1, [::1] or localhost); \
                --allow-network lets it be",
            ));
        }
        let config = Config::builder()
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_age(IDLE)
            .user_agent(concat!("gvpie/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = if allow_network {
            Agent::new_with_config(config)
        } else {
            Agent::with_parts(config, DefaultConnector::default(), Loopback)
        };
        Ok(Client { agent, base: api.trim_end_matches('/').into(), token })
    }

    /// Asks whether the API is well; else why not.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn health(&self) -> Result<(), String> {
        let asked = self.agent.get(format!("{}/health", self.base));
        let asked = asked.config().timeout_global(Some(HEALTH)).build();
        match asked.call().and_then(read) {
            Ok((200, _)) => Ok(()),
            Ok((status, _)) => Err(format!("status {status}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Has a program run.
    pub fn execute(&self, request: &Value) -> Answer {
        let (status, body) = match self.post("/api/execute", request, RUN) {
            Ok(answer) => answer,
            Err(ureq::Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Answer::NotNow(error.to_string());
            }
            Err(error) => return Answer::Lost(error.to_string()),
        };
        if status == 200 {
            return match serde_json::from_slice(&body) {
                Ok(report) => Answer::Ran(Box::new(report)),
                Err(error) => Answer::Lost(format!("an answer that is not understood: {error}")),
            };
        }
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        let told = problem.told(status);
        match status {
            422 if problem.assembly() => Answer::Broken(told),
            400 | 413 | 415 | 422 | 500 => Answer::Refused(told),
            _ => Answer::NotNow(told),
        }
    }

    /// Tells those who listen to the API's events. They do without if it cannot be told.
    pub fn tell(&self, event: &str, data: &Value) {
        let told = self.post("/api/events", &json!({ "event": event, "data": data }), HEALTH);
        match told {
            Ok((200..300, _)) => {}
            Ok((status, _)) => tracing::debug!(event, status, "not told"),
            Err(error) => tracing::debug!(event, %error, "not told"),
        }
    }

    fn post(
        &self,
        path: &str,
        body: &Value,
        most: Duration,
    ) -> Result<(u16, Vec<u8>), ureq::Error> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        request.config().timeout_global(Some(most)).build().send_json(body).and_then(read)
    }
}

/// The status and the whole body, so that the connection can be used again.
fn read(mut answer: http::Response<Body>) -> Result<(u16, Vec<u8>), ureq::Error> {
    let body = answer.body_mut().with_config().limit(MOST_ANSWER).read_to_vec()?;
    Ok((answer.status().as_u16(), body))
}

/// A problem as RFC 9457 has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    r#type: String,
    title: String,
    detail: String,
    errors: Vec<Diagnostic>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Diagnostic {
    line: u64,
    column: u64,
    message: String,
}

impl Problem {
    /// Whether it is the program's text that is wrong.
    fn assembly(&self) -> bool {
        self.r#type == "urn:gvpie:problem:assembly" || !self.errors.is_empty()
    }

    /// In a line, and one for each error in the text.
    fn told(&self, status: u16) -> String {
        let mut text = match (self.title.as_str(), self.detail.as_str()) {
            ("", "") => format!("status {status}"),
            (title, "") => title.into(),
            ("", detail) => detail.into(),
            (title, detail) => format!("{title}: {detail}"),
        };
        for error in &self.errors {
            text += &format!("\n{}:{}: {}", error.line, error.column, error.message);
        }
        text
    }
}

/// The addresses of a host on this machine; `None` for any other.
fn loopback(host: &str) -> Option<Vec<IpAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        // RFC 6761: whatever a name server says of it.
        return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address: IpAddr = bare.parse().ok()?;
    address.is_loopback().then(|| vec![address])
}

/// Finds addresses of loopback, and no others.
#[derive(Debug)]
struct Loopback;

impl Resolver for Loopback {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = uri.host().and_then(loopback).ok_or(ureq::Error::HostNotFound)?;
        let mut found = DefaultResolver::default().empty();
        for address in addresses {
            found.push(SocketAddr::new(address, uri.port_u16().unwrap_or(80)));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_unless_said() {
        let client = |api| Client::new(api, false, None);
        for api in [
            "http://127.0.0.1:8081",
            "http://127.8.7.6:1/",
            "http://[::1]:8081",
            "http://LocalHost:8081",
        ] {
            client(api).unwrap();
        }
        for (api, why) in [
            ("http://192.0.2.1:8081", "not on this machine"),
            ("http://127.0.0.1.example.com", "not on this machine"),
            ("http://[::ffff:192.0.2.1]:80", "not on this machine"),
            ("http://0.0.0.0:8081", "not on this machine"),
            ("http://2130706433:8081", "not on this machine"),
            ("http://127.0.0.1:8081@192.0.2.1", "names a user"),
            ("http://me@127.0.0.1:8081", "names a user"),
            ("https://127.0.0.1:8081", "expected http://"),
            ("http://127.0.0.1:8081/api", "expected http://"),
            ("127.0.0.1:8081", "expected http://"),
            ("", "no URL"),
        ] {
            let error = client(api).unwrap_err().to_string();
            assert!(error.contains(why), "{api}: {error}");
        }
        Client::new("http://192.0.2.1:8081", true, None).unwrap();
    }

    #[test]
    fn no_name_leads_away() {
        let config = Config::builder().build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), Loopback);
        let asked = agent.get("http://example.com/").call();
        assert!(matches!(asked, Err(ureq::Error::HostNotFound)));
    }
}
