//! The HTTP interface: programs run, what is remembered is asked for, and a page for people.
//!
//! ```text
//! connection → guard → route → queue → the device's thread, or the host's → answer
//!                        │                                             └→ recorder → store
//!                        └→ store
//! ```
//!
//! One thread owns the device and one writes what was run; routes wait for them without a thread of
//! their own. Every run is recorded, together with others within 50 ms; an answer waits for that where
//! `durable` asks for it. Requests are refused with problem details (RFC 9457), and the description of
//! all routes, `/api/openapi.json`, is made from the handlers.

mod answer;
mod body;
mod events;
pub(crate) mod execute;
mod guard;
mod listen;
mod page;
mod problem;
pub mod proof;
mod queue;
mod recorder;
mod request;
mod routes;
#[cfg(test)]
mod tests;

pub use answer::{BatchAnswer, CanvasData, LaneAnswer, RunAnswer};
pub use problem::{Place as TextPlace, Problem};
pub use queue::Place;
pub use request::{
    BackendName, BatchProgram, BatchRequest, CanvasKind, CartridgeRun, Code, ExecuteRequest, Given,
    Instruction, Lang, ModeName, RunRequest,
};

pub(crate) use request::Said;

use crate::store::{Store, StoreError};
use axum::Router;
use events::Events;
use guard::Guard;
use queue::Queue;
use recorder::Recorder;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes one that is free.
    pub addr: SocketAddr,
    /// The folder of the store.
    pub data: PathBuf,
    /// Where runs take place that may take place anywhere.
    pub place: Place,
    /// Names that the server has besides its address and `localhost`.
    pub hosts: Vec<String>,
    /// What requests must bear; a server that others than this machine can reach must have one.
    pub token: Option<String>,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("{addr}: cannot listen: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others could reach it, and it has no token.
    #[error("{0} can be reached from other machines; set GVPIE_TOKEN, or listen on 127.0.0.1")]
    Token(SocketAddr),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The library has refused or failed.
    #[error(transparent)]
    Core(#[from] gvpie_core::Error),
}

/// What all routes share.
#[derive(Debug)]
struct Shared {
    options: Options,
    guard: Guard,
    queue: Queue,
    recorder: Recorder,
    store: Mutex<Store>,
    events: Events,
    began: Instant,
    cycle: AtomicI64,
    cycled: Mutex<Option<SystemTime>>,
    stop: watch::Sender<bool>,
}

type App = Arc<Shared>;

impl Shared {
    /// Works with the store on a thread that may wait.
    async fn store<T: Send + 'static>(
        self: &App,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            work(&mut app.store.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await
            .map_err(|error| Problem::defect(format!("the store: {error}")))?
            .map_err(Problem::from)
    }

    /// A daemon has ended this cycle.
    fn has_cycled(&self, cycle: i64) {
        self.cycle.fetch_max(cycle, Ordering::Relaxed);
        *self.cycled.lock().unwrap_or_else(PoisonError::into_inner) = Some(SystemTime::now());
    }

    /// The last cycle of a daemon that is known of.
    fn cycle(&self) -> i64 {
        self.cycle.load(Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Comes when the server stops.
    async fn stopped(&self) {
        let mut stop = self.stop.subscribe();
        let _ = stop.wait_for(|stop| *stop).await; // its end is one, too
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    app: App,
}

impl Server {
    /// Opens the store, starts the threads and listens.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn bind(options: Options) -> Result<Self, ServeError> {
        let asked = options.addr;
        if !asked.ip().is_loopback() && options.token.as_ref().is_none_or(String::is_empty) {
            return Err(ServeError::Token(asked));
        }
        let listening = TcpListener::bind(asked).await;
        let listener = listening.map_err(|source| ServeError::Listen { addr: asked, source })?;
        let addr = listener.local_addr();
        let addr = addr.map_err(|source| ServeError::Listen { addr: asked, source })?;
        let store = Store::open(&options.data)?;
        let events = Events::new();
        let recorder = Recorder::start(Store::open(&options.data)?, events.clone())?;
        let cycle = AtomicI64::new(store.last_iteration()?);
        let queue = Queue::start(options.place)?;
        if options.place == Place::Device
            && let queue::Adapter::None(reason) = queue.known().await
        {
            return Err(gvpie_core::Error::NoAdapter { reason, found: Vec::new() }.into());
        }
        let app = Arc::new(Shared {
            guard: Guard::new(addr, &options.hosts, options.token.as_deref()),
            queue,
            recorder,
            store: Mutex::new(store),
            events,
            began: Instant::now(),
            cycle,
            cycled: Mutex::new(None),
            stop: watch::channel(false).0,
            options,
        });
        Ok(Server { listener, addr, app })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The folder of its store.
    pub fn data(&self) -> &Path {
        &self.app.options.data
    }

    /// Serves until `stop` comes, then what is under way, and puts what was run on the disk.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Server { listener, addr, app } = self;
        tracing::info!(%addr, data = %app.options.data.display(), "listening");
        let router = router(app.clone());
        let told = async {
            stop.await;
            tracing::info!("stopping");
            app.stop.send_replace(true);
        };
        listen::serve(listener, router, told).await;
        app.recorder.finish().await;
    }
}

/// All routes, behind the guard.
fn router(app: App) -> Router {
    let (router, description) = routes::all();
    let description = routes::served(&description);
    router
        .merge(description)
        .merge(page::routes())
        .fallback(|| async { Problem::not_found("no such path; see /api/openapi.json") })
        .method_not_allowed_fallback(|| async { Problem::method() })
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

/// The description of all routes, as served.
pub fn description() -> utoipa::openapi::OpenApi {
    routes::all().1
}
