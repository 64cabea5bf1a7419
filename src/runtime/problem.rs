//! What a request is answered that cannot be served: problem details as of RFC 9457.

use crate::store::StoreError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gvpie_core::pixel::Diagnostic;
use serde::Serialize;
use utoipa::ToSchema;

/// The kind of a body that holds a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request is refused, or could not be served (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem: `urn:gvpie:problem:` and a word that stays.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What is wrong here: which field, what was expected and what came.
    detail: String,
    /// Places of a text that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Place>,
}

/// Something wrong at a place of a text.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = TextPlace)]
pub struct Place {
    /// Its line, from 1.
    line: usize,
    /// Its first column, from 1.
    column: usize,
    /// The column after its last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    end_column: Option<usize>,
    /// A short name that stays, such as `unknown-mnemonic`.
    code: String,
    /// What is wrong.
    message: String,
    /// What would be right, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    help: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, name: &str, title: &str, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("urn:gvpie:problem:{name}"),
            title: title.into(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// 400: it is not what it should be in form.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request is malformed", detail)
    }

    /// 400: its body is no JSON of the kind that is expected, from this place on.
    pub fn json(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        // The place is told apart.
        let message = message.split(" at line ").next().unwrap_or_default().to_string();
        let place = Place {
            line: error.line().max(1),
            column: error.column().max(1),
            end_column: None,
            code: "json".into(),
            message: message.clone(),
            help: None,
        };
        Problem { errors: vec![place], ..Self::malformed(format!("the body: {message}")) }
    }

    /// 401: it does not bear the token.
    pub fn token() -> Self {
        let detail = "this server expects 'Authorization: Bearer' and its token";
        Self::new(StatusCode::UNAUTHORIZED, "token", "A token is needed", detail)
    }

    /// 403: a page from elsewhere has sent it.
    pub fn origin(origin: &str) -> Self {
        let detail = format!("the origin is {origin:?}; expected this server's own pages");
        Self::new(StatusCode::FORBIDDEN, "origin", "Requests of other sites are refused", detail)
    }

    /// 421: it was meant for another server.
    pub fn host(host: &str) -> Self {
        let detail =
            format!("the host is {host:?}; expected the address that this server listens on");
        Self::new(StatusCode::MISDIRECTED_REQUEST, "host", "Another server was meant", detail)
    }

    /// 404: there is none.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is none", what)
    }

    /// 405: not with this method.
    pub fn method() -> Self {
        let detail = "see /api/openapi.json for the methods of each path";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "The path has no such method", detail)
    }

    /// 408: the body took too long.
    pub fn slow(seconds: u64) -> Self {
        let detail = format!("the body was not complete after {seconds} seconds");
        Self::new(StatusCode::REQUEST_TIMEOUT, "slow", "The request took too long", detail)
    }

    /// 409: it is there already.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "It is there already", detail)
    }

    /// 413: the body is too large.
    pub fn too_large(most: usize) -> Self {
        let detail = format!("the body has more than {most} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail)
    }

    /// 415: the body is of another kind.
    pub fn media_type(found: &str) -> Self {
        let detail = format!("the body is {found:?}; expected 'application/json'");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "JSON is expected", detail)
    }

    /// 422: it is understood, and cannot be done.
    pub fn refused(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "This cannot be done", detail)
    }

    /// 422: a value is not one that may be.
    pub fn value(
        field: &str,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::refused(format!("{field}: expected {expected}; found {found}"))
    }

    /// 422: a text that does not assemble.
    pub fn assembly(faults: &[Diagnostic]) -> Self {
        let place = |fault: &Diagnostic| Place {
            line: fault.line,
            column: fault.column,
            end_column: Some(fault.end_column),
            code: fault.code.into(),
            message: fault.message.clone(),
            help: fault.help.clone(),
        };
        let first = faults.first().map_or(String::new(), ToString::to_string);
        let more = match faults.len() {
            0 | 1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let title = "The program does not assemble";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let problem = Self::new(status, "assembly", title, format!("{first}{more}"));
        Problem { errors: faults.iter().map(place).collect(), ..problem }
    }

    /// 429: too much is waiting.
    pub fn busy(limit: usize) -> Self {
        let detail = format!("{limit} runs are waiting; try again in a second");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", "The queue is full", detail)
    }

    /// 500: a defect of ours.
    pub fn defect(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "defect", "The server has failed", detail)
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let title = "The server cannot do this now";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, detail)
    }

    /// The same, of a part of the request.
    pub fn of(self, part: &str) -> Self {
        Problem { detail: format!("{part}: {}", self.detail), ..self }
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What is wrong.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<gvpie_core::Error> for Problem {
    fn from(error: gvpie_core::Error) -> Self {
        use gvpie_core::Error;
        let detail = error.to_string();
        match error {
            Error::DeviceLost { .. } | Error::Timeout { .. } | Error::OutOfMemory { .. } => {
                Self::unavailable(detail)
            }
            _ => Self::refused(detail),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::Value { .. } | StoreError::Format(_) | StoreError::Cartridge { .. } => {
                Self::refused(detail)
            }
            StoreError::Object { .. } | StoreError::Missing { .. } => Self::not_found(detail),
            StoreError::Taken { .. } | StoreError::Recorded { .. } => Self::conflict(detail),
            _ => Self::unavailable(detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(status = self.status, detail = %self.detail, "request failed");
        }
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}
