//! One error type, whose fields are facts.
//!
//! Every variant answers the caller's first question, *whose turn is it?*: [`Error::turn`] tells
//! what this machine can never do from what it cannot do now and from what the caller must mend.

use std::path::PathBuf;
use std::time::Duration;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, with the numbers that show it.
///
/// ```
/// use gvpie_core::{Backend, Context, Error, Turn};
/// let ctx = Context::on(Backend::Cpu)?;
/// let error = ctx.upload([2, 3], &[0.0_f32; 5]).unwrap_err();
/// assert!(matches!(error, Error::Shape { .. }));
/// assert_eq!(error.turn(), Turn::Caller);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operand's shape, strides or length does not fit the problem.
    #[error("{operand}: expected {expected}, found {found}")]
    Shape {
        /// Which operand, by the name the formula gives it.
        operand: String,
        /// What the problem asks for.
        expected: String,
        /// What came.
        found: String,
    },
    /// An operand's element type is not the one the plan was made for.
    #[error("{operand}: expected elements of type {expected}, found {found}")]
    Element {
        /// Which operand.
        operand: String,
        /// The element type the plan was made for.
        expected: &'static str,
        /// The element type that came.
        found: &'static str,
    },
    /// An operand holds a number that the operation has no meaning for.
    #[error("{operand}: expected {expected}, found {found}")]
    Value {
        /// Which operand, and which of its elements.
        operand: String,
        /// What it may hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// An operand belongs to another [`Context`](crate::Context).
    #[error("{operand} belongs to another context; upload it to this one")]
    Foreign {
        /// Which operand.
        operand: String,
    },
    /// A shader did not compile; the message quotes its source.
    #[error("shader '{label}' does not compile\n{message}")]
    Shader {
        /// The kernel's label.
        label: String,
        /// The compiler's words, with the offending lines of the source.
        message: String,
    },
    /// What is bound to a kernel does not fit what its source declares.
    #[error("kernel '{kernel}', {place}: expected {expected}, found {found}")]
    Binding {
        /// The kernel's label.
        kernel: String,
        /// Which binding, parameter block or entry point.
        place: String,
        /// What the shader declares.
        expected: String,
        /// What came.
        found: String,
    },
    /// An option or an environment variable holds a value that means nothing.
    #[error("{name}={value}: expected {expected}")]
    Setting {
        /// The name of the option or variable.
        name: String,
        /// Its value.
        value: String,
        /// What would be understood.
        expected: String,
    },
    /// An expression does not follow its grammar, or not with these operands; the message shows the
    /// expression with a mark under the place.
    #[error("{}", marked(.expression, *.at, .reason))]
    Expression {
        /// The expression as it was given.
        expression: String,
        /// The place, in characters from the beginning.
        at: usize,
        /// What is wrong there.
        reason: String,
    },
    /// No adapter fits the request.
    #[error("no usable GPU adapter: {reason}; adapters here: {}", list(.found))]
    NoAdapter {
        /// Why none was taken.
        reason: String,
        /// The adapters that were seen, as `name (kind, back end)`.
        found: Vec<String>,
    },
    /// The driver failed the start-up self-test, so its results cannot be trusted.
    #[error(
        "driver '{driver}' computes wrong results: {fault}; GVPIE_ALLOW_DRIVER=1 uses it all the same"
    )]
    Driver {
        /// The driver, by name and version.
        driver: String,
        /// What it got wrong.
        fault: String,
    },
    /// A limit of this device: it will not do on this device what fits on a larger one.
    #[error("{what} needs {asked} of {limit}, this device allows {allowed} ({} too many)", asked.saturating_sub(*allowed))]
    Limit {
        /// What was asked for.
        what: String,
        /// The limit, by its name in WebGPU.
        limit: &'static str,
        /// How much was asked for.
        asked: u64,
        /// How much there may be.
        allowed: u64,
    },
    /// This back end cannot do this at all.
    #[error("{what} is not supported here: {reason}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What is missing, and the way around it.
        reason: String,
    },
    /// There is not enough memory now.
    #[error("out of memory: {what} needs {asked} bytes, {in_use} are in use{budgets}")]
    OutOfMemory {
        /// What the memory was for.
        what: String,
        /// Bytes asked for.
        asked: u64,
        /// Bytes already held by this context, in the tier that had no room.
        in_use: u64,
        /// The byte budgets of the tiers that were asked.
        budgets: Budgets,
    },
    /// A file cannot be created, read or written.
    #[error("{action} {}: {message}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, as in "writing".
        action: &'static str,
        /// The kind of failure: [`StorageFull`](std::io::ErrorKind::StorageFull) where a disk is full,
        /// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) where a file has become shorter.
        kind: std::io::ErrorKind,
        /// The system's words.
        message: String,
    },
    /// The device is gone (driver reset, unplugged, destroyed). Tensors on it are lost; a new
    /// context from the same adapter usually works.
    #[error("the device was lost: {reason}")]
    DeviceLost {
        /// The driver's words.
        reason: String,
    },
    /// The device did not finish in time. The work may still be running.
    #[error("{what} did not finish within {} s", after.as_secs_f64())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        after: Duration,
    },
    /// A kernel did what no kernel may, and was stopped. Told by the host; a GPU goes on.
    #[error("kernel '{kernel}' was stopped at line {line}: {fault}")]
    Stopped {
        /// The kernel's label.
        kernel: String,
        /// The line of its source, from 1 on.
        line: usize,
        /// What it did.
        fault: String,
    },
    /// The sanitizer found what no correct kernel does ([`ContextOptions::check`](crate::ContextOptions)).
    #[error("{kernel}: {found}")]
    Faults {
        /// The kernel.
        kernel: String,
        /// What it did, a line each.
        found: String,
    },
    /// The driver or wgpu reported something that none of our checks foresaw: a defect, of ours or
    /// of theirs.
    #[error("{what} failed in the driver: {message}")]
    Internal {
        /// What was being done.
        what: String,
        /// The driver's words.
        message: String,
    },
}

/// The most bytes that each tier of memory may hold; `None` where nothing is set, or where the tier
/// was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budgets {
    /// Of the device.
    pub device: Option<u64>,
    /// Of the host.
    pub host: Option<u64>,
    /// Of files.
    pub disk: Option<u64>,
}

impl std::fmt::Display for Budgets {
    /// ` of a budget of 64`; of several, ` of budgets of 64 on the device, 128 of the host`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tiers =
            [(self.device, "on the device"), (self.host, "of the host"), (self.disk, "on disk")];
        let set: Vec<_> =
            tiers.iter().filter_map(|&(budget, tier)| Some((budget?, tier))).collect();
        match set[..] {
            [] => Ok(()),
            [(bytes, _)] => write!(f, " of a budget of {bytes}"),
            _ => {
                let each: Vec<_> =
                    set.iter().map(|(bytes, tier)| format!("{bytes} {tier}")).collect();
                write!(f, " of budgets of {}", each.join(", "))
            }
        }
    }
}

/// Whose turn it is after an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The caller's: the call itself is mistaken, and mending it will help.
    Caller,
    /// Nobody's yet: the same call may go through later or on a fresh context.
    Later,
    /// Nobody's here: this device or build will never do it.
    Elsewhere,
}

impl Error {
    /// Whose turn it is: a mistake of the caller, *not now*, or *never here*.
    pub fn turn(&self) -> Turn {
        match self {
            Error::Shape { .. }
            | Error::Element { .. }
            | Error::Value { .. }
            | Error::Foreign { .. }
            | Error::Shader { .. }
            | Error::Binding { .. }
            | Error::Expression { .. }
            | Error::Stopped { .. }
            | Error::Faults { .. }
            | Error::Setting { .. } => Turn::Caller,
            Error::OutOfMemory { .. }
            | Error::File { .. }
            | Error::DeviceLost { .. }
            | Error::Timeout { .. }
            | Error::Internal { .. } => Turn::Later,
            Error::NoAdapter { .. }
            | Error::Driver { .. }
            | Error::Limit { .. }
            | Error::Unsupported { .. } => Turn::Elsewhere,
        }
    }

    pub(crate) fn shape(
        operand: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Error::Shape { operand: operand.into(), expected: expected.into(), found: found.into() }
    }

    pub(crate) fn file(
        path: impl Into<PathBuf>,
        action: &'static str,
        source: &std::io::Error,
    ) -> Self {
        Error::File { path: path.into(), action, kind: source.kind(), message: source.to_string() }
    }

    pub(crate) fn unsupported(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Unsupported { what: what.into(), reason: reason.into() }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// The reason, then the expression on a line of its own, then a mark under the place.
fn marked(expression: &str, at: usize, reason: &str) -> String {
    // What would leave the line stands as one character, so that the mark stays where it belongs.
    let shown: String =
        expression.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("{reason}\n  {shown}\n  {}^", " ".repeat(at))
}
