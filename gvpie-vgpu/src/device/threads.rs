//! Threads that stay, and wait for work.

use crate::interp::RunError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Bytes of a thread's stack: the interpreter follows the deepest kernel that it takes on a quarter of it,
/// unoptimised.
pub(super) const STACK: usize = 16 << 20;

type Work = Arc<dyn Fn() + Send + Sync>;

/// What a thread is sent: work, and whom to tell that it is done, or of a panic.
type Errand = (Work, Sender<Result<(), String>>);

/// Threads, each with a queue of its own.
#[derive(Debug)]
pub(super) struct Threads {
    queues: Mutex<Vec<Sender<Errand>>>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn new(count: usize) -> Result<Threads, RunError> {
        let mut threads = Threads { queues: Mutex::default(), handles: Vec::new() };
        for number in 0..count {
            let (queue, errands) = channel();
            let builder = Builder::new().name(format!("vgpu-{number}")).stack_size(STACK);
            let handle = builder
                .spawn(move || serve(&errands))
                .map_err(|error| RunError::Threads(error.to_string()))?;
            threads.handles.push(handle);
            threads.queues.get_mut().unwrap_or_else(PoisonError::into_inner).push(queue);
        }
        Ok(threads)
    }

    pub(super) fn count(&self) -> usize {
        self.handles.len()
    }

    /// Runs `work` on so many threads at a time, and waits for all of them.
    pub(super) fn run(
        &self,
        count: usize,
        work: impl Fn() + Send + Sync + 'static,
    ) -> Result<(), RunError> {
        let work: Work = Arc::new(work);
        let (done, results) = channel();
        for queue in self.queues.lock().unwrap_or_else(PoisonError::into_inner).iter().take(count) {
            let errand = (Arc::clone(&work), done.clone());
            queue.send(errand).map_err(|_| RunError::Threads("one has ended".into()))?;
        }
        drop(done);
        // All have ended before anything is said: what they reach is the caller's again.
        let results: Vec<_> = results.iter().collect();
        results.into_iter().try_for_each(|result| result.map_err(RunError::Broken))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queues.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        for handle in self.handles.drain(..) {
            // A thread catches the panics of what it runs, and has none of its own.
            let _ = handle.join();
        }
    }
}

/// Runs `work` on the caller's own thread, as one of these would.
pub(super) fn here(work: impl Fn()) -> Result<(), RunError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| RunError::Broken(message(&*panic)))
}

/// Does what comes, until nobody can send any more.
fn serve(errands: &Receiver<Errand>) {
    for (work, done) in errands {
        let result = catch_unwind(AssertUnwindSafe(&*work)).map_err(|panic| message(&*panic));
        drop(work);
        // Nobody waits for a run that has failed on another thread.
        let _ = done.send(result);
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
        .into()
}
