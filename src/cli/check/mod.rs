//! `gvpie check`: a kernel under the sanitizer.

mod bind;
mod interface;
mod report;

use super::{Arguments, Failure};
use crate::bytes;
use crate::output::print;
use bind::{Bind, Bound};
use clap::Args;
use gvpie_vgpu::{Bindings, Device, Module, Report, RunError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Run a WGSL kernel in software, and tell what no correct kernel does.
///
/// The kernel runs once, on this machine's processor, with every access watched; no GPU and no
/// driver is needed, and --backend is not looked at. Told are
///
/// * races: two lanes reach the same word, one of them to write, and no barrier orders them, in
///   workgroup memory and in buffers, with both lines and both lanes;
/// * indices past the end of an array or a texture, which WGSL moves, hardly as meant;
/// * workgroup memory that is read before anything was written to it;
/// * barriers that not all lanes of a workgroup come to;
/// * integers divided by zero, and the place where the first NaN comes of numbers.
///
/// Each is told with its lines, the lane and workgroup that met it first, and how often it was met.
/// Then a table says what each access to memory costs on a GPU.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = MANUAL)]
pub struct Options {
    /// The kernel; /dev/stdin is one, too
    #[arg(value_name = "KERNEL.wgsl")]
    pub kernel: PathBuf,
    /// The entry point; may be left out where there is one
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,
    /// Workgroups along x, y and z; those left out are 1
    #[arg(long, value_name = "X,Y,Z", value_parser = extents)]
    pub dispatch: [u32; 3],
    /// What is bound at a @binding, or a @group and @binding
    #[arg(long = "bind", value_name = "[GROUP:]N=WHAT", value_parser = bind::parse)]
    pub binds: Vec<Bind>,
    /// The value of an override, by its name or @id
    #[arg(long = "override", value_name = "NAME=VALUE", value_parser = constant)]
    pub overrides: Vec<(String, f64)>,
    /// Immediate data, byte by byte
    #[arg(long, value_name = "HEX", value_parser = bind::hex)]
    pub immediate: Option<bind::Bytes>,
    /// Lanes of a subgroup: 4, 8, 16, 32, 64 or 128
    #[arg(long, value_name = "N", default_value = "32", value_parser = subgroup)]
    pub subgroup: usize,
    /// Instructions of lanes after which it is stopped
    #[arg(long, value_name = "N", default_value = "1000000000000",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub budget: u64,
    /// Seconds after which it is stopped
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = super::above_zero)]
    pub timeout: f64,
    /// The most memory for registers and for what is noted of each word that the kernel may write, 40
    /// bytes and more
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = bytes::parse)]
    pub memory: u64,
}

const MANUAL: &str = "\
What can be bound:
  1=x.npy                  an array of the kernel's element type, in C order
  1=zeros:f32:1024         1024 zeros; the types are i32, u32, f32, f16, i64, u64 and f64
  1=zeros:f32:64x64        64 times 64 of them
  1=iota:u32:1024          0, 1, 2 and so on
  1=random:f32:1024        floats from -1 to 1, integers of all sizes; the same ones each time
  0=u32:1024,7,f32:0.5     these numbers one after another: a uniform or a struct, padding included
  0=hex:0004000000         these bytes
  2=zeros:640x480          a texture; random:640x480, too
  1:0=x.npy                the same at @group(1) @binding(0); the group is 0 otherwise
Where a binding's size is known and nothing is bound, zeros are, and that is said.

The table has a row for each line that reaches memory:
  accesses  how often a subgroup was there
  taken     of a buffer, sectors of 32 bytes that were moved; of workgroup memory, turns that its
            32 banks took
  least     as few would do for the same words, were they side by side
  times     the one over the other: 1 is coalesced, or free of bank conflicts

With --json one object is printed:
  kernel, entry, workgroup, dispatch, subgroup, seconds
  bindings   group, binding, name, what (as bound), assumed (whether nothing was bound)
  findings   kind (race, out-of-bounds, outside-texture, uninitialised, divergent-barrier,
             divided-by-zero, nan), message, line, column, source (the line), workgroup, lane and
             count; of a race also memory, address (bytes), access and other (line, column,
             source, workgroup, lane, access); of an index also index and length
  traffic    line, column, source, memory, space (buffer, workgroup), accesses, taken, least

Examples:
  gvpie check scale.wgsl --dispatch 16 --bind 0=u32:1000,f32:2 --bind 1=x.npy --bind 2=y.npy
  gvpie check reduce.wgsl --entry sum --dispatch 4,1,1 --bind 0=random:f32:1024 --override width=64
  gvpie check kernel.wgsl --dispatch 1 --json | jq '.findings[].message'

Exit status: 0 nothing was found, 1 something was found or the kernel was stopped, 2 it cannot be
run: it does not compile, or the command line does not fit it.";

/// Why a kernel cannot be checked, or not to its end; each is about one thing, with a hint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel's file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An array that is to be bound cannot be read.
    #[error(transparent)]
    Npy(#[from] crate::npy::Error),
    /// It does not compile, or cannot be run here.
    #[error("{}: {message}", path.display())]
    Kernel {
        /// The file.
        path: PathBuf,
        /// Why, with the lines that it is about.
        message: String,
    },
    /// What is asked for does not fit the kernel.
    #[error("{0}")]
    Misfit(String),
    /// It was stopped.
    #[error("{}: {message}", path.display())]
    Stopped {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Something was found.
    #[error("{}: {count} {}", path.display(), if *.count == 1 { "fault" } else { "faults" })]
    Found {
        /// The file.
        path: PathBuf,
        /// How many places.
        count: usize,
    },
}

impl Error {
    /// The exit status.
    pub(super) fn status(&self) -> u8 {
        match self {
            Error::Found { .. } | Error::Stopped { .. } => 1,
            _ => 2,
        }
    }
}

/// What was run, and how.
struct Run<'a> {
    options: &'a Options,
    source: &'a str,
    kernel: &'a gvpie_vgpu::ir::Kernel,
    bound: &'a [Bound],
    report: &'a Report,
    seconds: f64,
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], with status 1 where something was found.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let source = read(&options.kernel)?;
    let overrides: Vec<(&str, f64)> =
        options.overrides.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let refused = |error| refused(options, error);
    let module = Module::new(&source, &overrides).map_err(refused)?;
    let kernel = module.kernel(&entry(options, &module)?).map_err(refused)?;

    let bound = interface::bind(&kernel, &options.binds)?;
    let mut bindings = Bindings::new();
    for bound in &bound {
        bindings = bound.give(bindings).map_err(|error| stopped(options, &kernel.name, error))?;
    }
    let immediate = match &options.immediate {
        Some(bind::Bytes(bytes)) => bytes.clone(),
        None => vec![0; kernel.immediate_bytes as usize],
    };
    let seconds = Duration::try_from_secs_f64(options.timeout).unwrap_or(Duration::MAX);
    let device = Device::new(gvpie_vgpu::Options {
        threads: 1,
        subgroup: options.subgroup,
        budget: options.budget,
        deadline: Some(seconds),
        memory: options.memory,
        ..Default::default()
    });

    let [x, y, z] = options.dispatch;
    let bar = super::progress(1)
        .with_message(format!("checking {} over {x} x {y} x {z} workgroups", kernel.name));
    bar.enable_steady_tick(Duration::from_secs(1));
    let start = Instant::now();
    let report = device
        .and_then(|device| device.check(&kernel, &bindings.immediate(&immediate), options.dispatch))
        .map_err(|error| stopped(options, &kernel.name, error))?;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();

    let (kernel, bound, report) = (&*kernel, &bound[..], &report);
    let run = Run { options, source: &source, kernel, bound, report, seconds };
    let text =
        if arguments.json { format!("{}\n", report::json(&run)) } else { report::text(&run) };
    print(&text)?;
    match report.findings.len() {
        0 => Ok(()),
        count => Err(Error::Found { path: options.kernel.clone(), count }.into()),
    }
}

/// The text of a kernel; as much of it as tells that it is too long.
fn read(path: &Path) -> Result<String, Error> {
    let unread = |source| Error::Read { path: path.into(), source };
    let most = gvpie_vgpu::Limits::default().bytes as u64;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unread)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > most {
        let message = format!("more than {most} bytes of WGSL");
        return Err(Error::Kernel { path: path.into(), message });
    }
    String::from_utf8(bytes).map_err(|_| Error::Kernel {
        path: path.into(),
        message: "not a text in UTF-8; expected WGSL".into(),
    })
}

/// The entry point that is asked for, or the only one.
fn entry(options: &Options, module: &Module) -> Result<String, Error> {
    let entries = module.entries();
    let message = match (&options.entry, &entries[..]) {
        (Some(name), _) => return Ok(name.clone()),
        (None, [only]) => return Ok(only.clone()),
        (None, []) => "has no compute entry point; expected a function with @compute".into(),
        (None, several) => {
            format!("has several entry points; say --entry {}", several.join(" or --entry "))
        }
    };
    Err(Error::Kernel { path: options.kernel.clone(), message })
}

/// Why a module or a kernel cannot be had.
fn refused(options: &Options, error: gvpie_vgpu::Error) -> Error {
    let path = options.kernel.clone();
    let message = match error {
        gvpie_vgpu::Error::Compile { message, .. } => {
            let place = format!("┌─ {}:", path.display());
            format!("does not compile\n{}", message.replace("┌─ wgsl:", &place).trim_end())
        }
        gvpie_vgpu::Error::Override { name, what, overrides } if overrides.is_empty() => {
            format!("--override {name}: {what}; it has no overrides")
        }
        gvpie_vgpu::Error::Override { name, what, overrides } => {
            format!("--override {name}: {what}; it has {}", overrides.join(", "))
        }
        gvpie_vgpu::Error::Entry { name, stage, entries } => {
            let why = if stage { "is not a compute entry point" } else { "is not there" };
            let there = match &entries[..] {
                [] => "it has no compute entry point".into(),
                entries => format!("say --entry {}", entries.join(" or --entry ")),
            };
            format!("the entry point '{name}' {why}; {there}")
        }
        error => error.to_string(),
    };
    Error::Kernel { path, message }
}

/// Why it does not run, or not to its end.
fn stopped(options: &Options, entry: &str, error: RunError) -> Error {
    let path = options.kernel.clone();
    let message = match error {
        RunError::Budget { instructions } => {
            let message = format!(
                "{entry} did not end within --budget {instructions} instructions of lanes: a loop without \
                 end, or a larger --budget is needed"
            );
            return Error::Stopped { path, message };
        }
        RunError::Deadline { .. } => {
            let message = format!(
                "{entry} did not end within --timeout {} s: a loop without end, or a longer --timeout or \
                 a smaller --dispatch is needed",
                options.timeout
            );
            return Error::Stopped { path, message };
        }
        RunError::Workgroup { expected, found } => format!(
            "{entry} has workgroups of {found} lanes, the most is {expected}; lower its @workgroup_size"
        ),
        RunError::Workgroups { axis, expected, found } => {
            return Error::Misfit(format!(
                "--dispatch: {found} workgroups along {axis}, the most is {expected}; spread them over \
                 another axis"
            ));
        }
        RunError::Immediate { expected: 0, found } => {
            return Error::Misfit(format!(
                "--immediate: {entry} takes no immediate data, found {found} bytes"
            ));
        }
        RunError::Immediate { expected, found } => {
            return Error::Misfit(format!(
                "--immediate: expected {expected} bytes, so {} digits, found {found} bytes",
                2 * expected
            ));
        }
        RunError::Memory { what, expected, found } => {
            format!("{what} need {found} bytes; --memory allows {expected}")
        }
        error => error.to_string(),
    };
    Error::Kernel { path, message }
}

/// `X,Y,Z`, of which the last may be left out.
fn extents(text: &str) -> Result<[u32; 3], String> {
    let malformed = || "expected workgroups along x, y and z, as in 16 or 4,4,1".to_string();
    let mut extents = [1; 3];
    let parts: Vec<&str> = text.split(',').collect();
    if parts.len() > 3 {
        return Err(malformed());
    }
    for (extent, part) in extents.iter_mut().zip(parts) {
        *extent = part.trim().parse().ok().filter(|n| *n > 0).ok_or_else(malformed)?;
    }
    Ok(extents)
}

/// `NAME=VALUE`.
fn constant(text: &str) -> Result<(String, f64), String> {
    let malformed = || "expected a name and a number or a bool, as in width=64".to_string();
    let (name, value) = text.split_once('=').ok_or_else(malformed)?;
    let value = match value.trim() {
        "true" => 1.0,
        "false" => 0.0,
        number => number.parse().map_err(|_| malformed())?,
    };
    Ok((name.trim().into(), value))
}

fn subgroup(text: &str) -> Result<usize, String> {
    let lanes = text.parse().ok().filter(|n: &usize| n.is_power_of_two() && (4..=128).contains(n));
    lanes.ok_or_else(|| "expected 4, 8, 16, 32, 64 or 128".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_read() {
        assert_eq!(extents("16"), Ok([16, 1, 1]));
        assert_eq!(extents("4, 3"), Ok([4, 3, 1]));
        assert_eq!(extents("1,2,3"), Ok([1, 2, 3]));
        for text in ["", "0", "1,0", "1,2,3,4", "a", "-1", "4294967296"] {
            assert!(extents(text).is_err(), "{text}");
        }
    }

    #[test]
    fn constants_are_read() {
        assert_eq!(constant("width=64"), Ok(("width".into(), 64.0)));
        assert_eq!(constant("on = true"), Ok(("on".into(), 1.0)));
        assert!(constant("width").is_err() && constant("width=wide").is_err());
    }
}
