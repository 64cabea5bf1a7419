//! Who may ask: requests for this server, from its own pages or from programs, with its token if it has one.

use super::App;
use super::body;
use super::problem::Problem;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use subtle::ConstantTimeEq;

/// What requests must have.
#[derive(Debug)]
pub struct Guard {
    addr: SocketAddr,
    hosts: Vec<String>,
    /// The token's hash, so that comparing takes the same time whatever came.
    token: Option<[u8; 32]>,
}

impl Guard {
    /// Of a server at this address, which may also be called by these names.
    pub fn new(addr: SocketAddr, hosts: &[String], token: Option<&str>) -> Self {
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Guard { addr, hosts, token: token.map(|token| Sha256::digest(token).into()) }
    }

    /// Whether a Host header means this server. A page of another site that has its name point here
    /// sends that name.
    fn is_meant(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        match name.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || !self.addr.ip().is_loopback(),
            Err(_) => name == "localhost" || self.hosts.contains(&name),
        }
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let text = |name| {
            let value = request.headers().get(name);
            value.map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = text(header::HOST).unwrap_or_default();
        if hosts.next().is_none() || hosts.next().is_some() || !self.is_meant(&host) {
            return Err(Problem::host(&host));
        }
        if let Some(origin) = text(header::ORIGIN) {
            let own = origin.split_once("://").is_some_and(|(scheme, authority)| {
                ["http", "https"].contains(&scheme) && authority.eq_ignore_ascii_case(&host)
            });
            if !own {
                return Err(Problem::origin(&origin));
            }
        }
        let path = request.uri().path();
        let guarded = path.starts_with("/api/") || ["/status", "/metrics"].contains(&path);
        match &self.token {
            Some(token) if guarded && path != "/api/openapi.json" => {
                let given = text(header::AUTHORIZATION)
                    .and_then(|value| value.strip_prefix("Bearer ").map(str::to_string))
                    .or_else(|| asked(request.uri()));
                let given: [u8; 32] = Sha256::digest(given.unwrap_or_default()).into();
                let same: bool = given.ct_eq(token).into();
                if same { Ok(()) } else { Err(Problem::token()) }
            }
            _ => Ok(()),
        }
    }
}

/// The token behind a path, for what cannot send headers: streams of events, and pictures.
fn asked(uri: &Uri) -> Option<String> {
    let path = uri.path();
    if path != "/api/events" && !path.ends_with(".png") {
        return None;
    }
    let Query(mut asked) = Query::<HashMap<String, String>>::try_from_uri(uri).ok()?;
    asked.remove("token")
}

/// Refuses what is not allowed, and logs what was answered.
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_string());
    let mut response = match (app.guard.check(&request), body::taken(request).await) {
        (Ok(()), Ok(request)) => next.run(request).await,
        (Err(problem), _) | (_, Err(problem)) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_secs_f64() * 1e3);
    tracing::debug!(%method, path, status, ms, "request");
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn refused(guard: &Guard, path: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        guard.check(&request).err().map(|problem| problem.status())
    }

    #[test]
    fn only_requests_for_this_server_pass() {
        let local = Guard::new("127.0.0.1:8081".parse().unwrap(), &["Box.local".into()], None);
        for host in ["localhost:8081", "127.0.0.1", "[::1]:8081", "LOCALHOST", "box.local:1"] {
            assert_eq!(refused(&local, "/api/map", &[("host", host)]), None, "{host}");
        }
        for host in
            ["evil.example", "evil.example:8081", "192.0.2.1:8081", "", "localhost.evil.example"]
        {
            assert_eq!(refused(&local, "/api/map", &[("host", host)]), Some(421), "{host}");
        }
        assert_eq!(refused(&local, "/", &[]), Some(421));
        assert_eq!(refused(&local, "/", &[("host", "localhost"), ("host", "evil")]), Some(421));
        let open = Guard::new("0.0.0.0:8081".parse().unwrap(), &[], Some("x"));
        assert_eq!(refused(&open, "/health", &[("host", "192.0.2.1:8081")]), None);
        assert_eq!(refused(&open, "/health", &[("host", "evil.example")]), Some(421));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let guard = Guard::new("127.0.0.1:8081".parse().unwrap(), &[], None);
        let of =
            |origin| refused(&guard, "/api/map", &[("host", "localhost:8081"), ("origin", origin)]);
        assert_eq!(of("http://localhost:8081"), None);
        for origin in
            ["http://localhost:3000", "http://127.0.0.1:8081", "https://evil.example", "null"]
        {
            assert_eq!(of(origin), Some(403), "{origin}");
        }
    }

    #[test]
    fn the_token_is_asked_for_where_there_is_something_to_have() {
        let guard = Guard::new("127.0.0.1:8081".parse().unwrap(), &[], Some("s3cret é"));
        let of = |path, bearer: &str| {
            refused(&guard, path, &[("host", "localhost"), ("authorization", bearer)])
        };
        assert_eq!(of("/api/map", "Bearer s3cret é"), None);
        for wrong in ["Bearer s3cret", "bearer", "s3cret é", ""] {
            assert_eq!(of("/api/map", wrong), Some(401), "{wrong}");
        }
        assert_eq!(of("/metrics", ""), Some(401));
        for open in ["/", "/health", "/page/app.js"] {
            assert_eq!(of(open, ""), None, "{open}");
        }
        assert_eq!(of("/api/events?token=s3cret%20%C3%A9", ""), None);
        assert_eq!(of("/api/map?token=s3cret%20%C3%A9", ""), Some(401));
    }
}
