//! What comes with a request, read within limits: bodies, ids in paths, questions behind them.

use super::problem::Problem;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::{header, request::Parts};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// Seconds in which a body must be there.
const PATIENCE: u64 = 30;

/// A body of JSON, of so many MiB at most.
#[derive(Debug)]
pub struct Json<T, const MIB: usize = 1>(pub T);

impl<T: DeserializeOwned, S: Send + Sync, const MIB: usize> FromRequest<S> for Json<T, MIB> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
        let kind = String::from_utf8_lossy(kind.unwrap_or_default()).into_owned();
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence != "application/json" {
            return Err(Problem::media_type(&kind));
        }
        let bytes = read(request, MIB << 20).await?;
        parsed(&bytes).map(Json)
    }
}

/// What a body says.
///
/// # Errors
/// [`Problem::json`]; a list is none, though it would be taken for an object without names.
pub fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') | None => {}
        Some(_) => return Err(Problem::malformed("the body: expected an object of JSON")),
    }
    serde_json::from_slice(bytes).or_else(|error| {
        // 5.0 is as good an integer as 5 to those who write all numbers so.
        let whole = serde_json::from_slice(bytes).ok().and_then(|mut value| {
            as_integers(&mut value).then(|| serde_json::from_value(value).ok())?
        });
        whole.ok_or_else(|| Problem::json(&error))
    })
}

/// Writes floating-point numbers that are integers as such; whether there was one.
fn as_integers(value: &mut Value) -> bool {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().filter(|_| number.is_f64());
            // Beyond 2^53 not every integer has a number of its own.
            let whole = float.filter(|x| x.fract() == 0.0 && x.abs() <= (1_u64 << 53) as f64);
            whole.is_some_and(|x| {
                *number = (x as i64).into();
                true
            })
        }
        Value::Array(values) => {
            values.iter_mut().fold(false, |any, value| as_integers(value) | any)
        }
        Value::Object(fields) => {
            fields.values_mut().fold(false, |any, value| as_integers(value) | any)
        }
        _ => false,
    }
}

/// Bytes of a body that is taken whether a route wants it or not.
const SMALL: u64 = 64 << 10;

/// A request whose body is here already if it is small. A connection that is closed on what nobody has
/// read is reset, and the answer may be lost on its way.
///
/// # Errors
/// As for any body.
pub async fn taken(request: Request) -> Result<Request, Problem> {
    if !matches!(announced(&request), Some(1..=SMALL)) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = read(Request::from_parts(parts.clone(), body), SMALL as usize).await?;
    Ok(Request::from_parts(parts, bytes.into()))
}

/// How long the body is, as its head says.
fn announced(request: &Request) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body of so many bytes at most. One that says that it is larger is not read.
async fn read(request: Request, most: usize) -> Result<Bytes, Problem> {
    if announced(&request).is_some_and(|length| length > most as u64) {
        return Err(Problem::too_large(most));
    }
    let whole = async {
        let mut parts = request.into_body().into_data_stream();
        let mut bytes = Vec::new();
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| Problem::malformed(format!("the body: {error}")))?;
            if bytes.len() + part.len() > most {
                return Err(Problem::too_large(most));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.into())
    };
    let limit = Duration::from_secs(PATIENCE);
    tokio::time::timeout(limit, whole).await.unwrap_or(Err(Problem::slow(PATIENCE)))
}

/// The part of a path that names something.
#[derive(Debug)]
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Name(name)).map_err(|error| Problem::malformed(error.body_text()))
    }
}

/// What is asked behind a path's `?`.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Asked(asked)).map_err(|error| {
            let text = error.body_text();
            Problem::malformed(format!("the query: {text}"))
        })
    }
}
