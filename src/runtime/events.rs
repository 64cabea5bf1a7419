//! What happens, as it happens: server-sent events.

use super::App;
use super::body::Json;
use super::problem::Problem;
use super::routes::Refused;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::ToSchema;

/// Events that a slow listener may be behind before some are left out for it.
const BEHIND: usize = 1024;

/// Listeners at a time.
const LISTENERS: usize = 64;

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Happened {
    /// `run`, `cycle`, `script`, `cartridge` or `notice`.
    pub name: &'static str,
    /// What is told of it.
    pub data: serde_json::Value,
}

/// Where events go.
#[derive(Debug, Clone)]
pub struct Events {
    sender: broadcast::Sender<Happened>,
    room: Arc<Semaphore>,
}

impl Events {
    /// Without a listener.
    pub fn new() -> Self {
        Events { sender: broadcast::channel(BEHIND).0, room: Arc::new(Semaphore::new(LISTENERS)) }
    }

    /// Tells all who listen.
    pub fn tell(&self, name: &'static str, data: serde_json::Value) {
        let _ = self.sender.send(Happened { name, data }); // nobody may listen
    }
}

/// What another process's daemon has done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// What happened.
    event: ToldName,
    /// What there is to say of it.
    #[schema(value_type = Object)]
    data: serde_json::Map<String, serde_json::Value>,
}

/// What a daemon may tell of.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToldName {
    /// A cycle has ended: `cycle`, `ran`, `failed`.
    Cycle,
    /// A script has run.
    Run,
    /// Something worth knowing.
    Notice,
}

/// Tell what a daemon of another process has done
#[utoipa::path(post, path = "/api/events", tag = "events", request_body = Told, responses(
    (status = 202, description = "It is told to all who listen"),
    (status = "4XX", response = Refused),
))]
pub async fn tell(State(app): State<App>, Json(told): Json<Told>) -> StatusCode {
    let name = match told.event {
        ToldName::Cycle => "cycle",
        ToldName::Run => "run",
        ToldName::Notice => "notice",
    };
    if let ToldName::Cycle = told.event {
        let cycle = told.data.get("cycle").and_then(serde_json::Value::as_i64);
        app.has_cycled(cycle.unwrap_or(0).max(0));
    }
    app.events.tell(name, told.data.into());
    StatusCode::ACCEPTED
}

/// Listen to events
///
/// A stream of `run`, `cycle`, `script`, `cartridge` and `notice`, each with JSON as its data.
#[utoipa::path(get, path = "/api/events", tag = "events", responses(
    (status = 200, description = "Events, as they happen", content_type = "text/event-stream", body = String),
    (status = "4XX", response = Refused),
))]
pub async fn listen(
    State(app): State<App>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let permit = app.events.room.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::busy(LISTENERS))?;
    let ear = Ear { events: app.events.sender.subscribe(), app, _permit: permit };
    let events = stream::unfold(ear, |mut ear| async {
        let event = tokio::select! {
            event = ear.events.recv() => event,
            () = ear.app.stopped() => return None,
        };
        let (name, data) = match event {
            Ok(Happened { name, data }) => (name, data),
            Err(RecvError::Lagged(missed)) => {
                ("notice", serde_json::json!({ "message": format!("{missed} events were missed") }))
            }
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(Event::default().event(name).data(data.to_string())), ear))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// A listener.
struct Ear {
    events: broadcast::Receiver<Happened>,
    app: App,
    _permit: OwnedSemaphorePermit,
}
