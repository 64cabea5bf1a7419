//! Trials of an algorithm, where a driver that fails can do no harm: in a process of their own.
//!
//! A kernel may be wrong, hang, or kill its device while it is compiled. So the tuner opens no
//! device for trials: it starts `gvpie tune --trial`, which opens one, and both speak in lines of
//! JSON, the child's first:
//!
//! ```text
//! child  {"ready":{"adapter":"..","driver":".."}}
//! tuner  {"problem":{..},"algorithm":"simt-f32-64x64x16","repeats":3}
//! child  {"seconds":0.000012}
//! tuner  {"problem":{..},"algorithm":"simt-f32-32x32x16","repeats":3}
//! child  {"failed":"wrong result: .."}
//! ```
//!
//! One child serves many trials. One that reports a failure, dies, is late or speaks anything else
//! is ended, and the next trial has a fresh one.

use super::bench::{Number, Problem, median_time, operands, spot_check};
use super::gemm::FloatName;
use super::{Arguments, Failure};
use crate::output::print;
use gvpie_core::gemm::Algorithm;
use gvpie_core::{Context, ContextOptions, f16};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the tuner asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trial {
    /// The problem.
    pub problem: Problem,
    /// The algorithm's name.
    pub algorithm: String,
    /// Measurements to take the median of.
    pub repeats: u32,
}

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// It has opened this device.
    Ready { adapter: String, driver: String },
    /// The result was right, and took this long.
    Seconds(f64),
    /// It was not, or there was none.
    Failed(String),
}

/// The child: trials from standard input until it ends, one line each.
///
/// # Errors
/// [`Failure`] where there is no device or no trial in a line. A trial that fails is an answer.
pub fn serve(arguments: &Arguments) -> Result<(), Failure> {
    // It plans by name, so it needs no choices; and what may kill a driver is not to be kept.
    let options = ContextOptions { cache: None, ..arguments.context_options()? };
    let ctx = pollster::block_on(Context::request(options))?;
    say(&Answer::Ready { adapter: ctx.adapter(), driver: ctx.driver() })?;
    let mut ready: Option<(Problem, Measure)> = None;
    for line in std::io::stdin().lock().lines() {
        let trial: Trial = serde_json::from_str(&line?)
            .map_err(|error| Failure::Tune(format!("not a trial: {error}")))?;
        let measured = (|| {
            let algorithm = trial.algorithm.parse()?;
            let measure = match &mut ready {
                Some((problem, measure)) if *problem == trial.problem => measure,
                other => {
                    *other = None; // its memory first
                    &mut other.insert((trial.problem, prepare(&ctx, trial.problem)?)).1
                }
            };
            measure(algorithm, trial.repeats)
        })();
        say(&match measured {
            Ok(time) => Answer::Seconds(time.as_secs_f64()),
            Err(Failure::Core(error)) => Answer::Failed(error.to_string()), // without its hint
            Err(failure) => Answer::Failed(failure.to_string()),
        })?;
    }
    Ok(())
}

fn say(answer: &Answer) -> std::io::Result<()> {
    print(&(serde_json::to_string(answer)? + "\n"))
}

/// Checks and measures an algorithm on the operands it holds.
type Measure = Box<dyn FnMut(Algorithm, u32) -> Result<Duration, Failure>>;

fn prepare(ctx: &Context, problem: Problem) -> Result<Measure, Failure> {
    match problem.dtype {
        FloatName::F16 => prepare_from::<f16>(ctx, problem),
        FloatName::F32 => prepare_from::<f32>(ctx, problem),
        FloatName::F64 => prepare_from::<f64>(ctx, problem),
    }
}

fn prepare_from<T: Number>(ctx: &Context, problem: Problem) -> Result<Measure, Failure> {
    match problem.out {
        FloatName::F16 => prepare_to::<T, f16>(ctx, problem),
        FloatName::F32 => prepare_to::<T, f32>(ctx, problem),
        FloatName::F64 => prepare_to::<T, f64>(ctx, problem),
    }
}

fn prepare_to<T: Number, C: Number>(ctx: &Context, problem: Problem) -> Result<Measure, Failure> {
    let e = problem.shape;
    let gemm = problem.gemm();
    let ctx = ctx.clone();
    let (a, b) = operands::<T>(e);
    let ta = ctx.upload([e.batch, e.m, e.k], &a)?;
    let tb = ctx.upload([e.batch, e.k, e.n], &b)?;
    let mut c = ctx.zeros::<C>([e.batch, e.m, e.n])?;
    Ok(Box::new(move |algorithm, repeats| {
        let plan = gemm.plan_with(&ctx, algorithm)?;
        // No right result holds it, and beta is zero: it shows what was not written, and what was
        // read that must not be.
        c.write(&vec![C::NAN; c.len()])?;
        plan.run(&ta, &tb, &mut c)?;
        if c.download()?.into_iter().any(|x| Into::<f64>::into(x).is_nan()) {
            return Err(Failure::Wrong("an element was not written".into()));
        }
        spot_check(&gemm, &a, &b, &c)?;
        let target = Duration::from_millis(10);
        Ok(median_time(&ctx, repeats, target, |batch| plan.record(batch, &ta, &tb, &mut c))?)
    }))
}

/// The tuner's side: runs trials in children that `command` describes.
pub struct Examiner<F> {
    command: F,
    limit: Duration,
    /// Adapter and driver that a child must have opened.
    device: (String, String),
    running: Option<Running>,
    /// Whether a child has served before.
    served: bool,
}

impl<F: FnMut() -> Command> Examiner<F> {
    /// No child yet. `limit` is how long one may be silent, when it starts and in a trial.
    pub fn new(command: F, limit: Duration, device: (String, String)) -> Self {
        Examiner { command, limit, device, running: None, served: false }
    }

    /// The time of one run of the algorithm, whose result was right.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn measure(&mut self, trial: &Trial) -> Result<Duration, String> {
        let mut child = match self.running.take() {
            Some(child) => child,
            None => self.restart()?,
        };
        let line = serde_json::to_string(trial).map_err(|error| error.to_string())?;
        match child.ask(&line, self.limit)? {
            Answer::Seconds(seconds) if seconds > 0.0 && seconds < 1e9 => {
                self.running = Some(child);
                Ok(Duration::from_secs_f64(seconds))
            }
            Answer::Failed(reason) => Err(reason),
            other => Err(format!("the trial process said {other:?}")),
        }
    }

    /// A driver may take a while to mend what a trial broke, and the next is not to suffer for it.
    fn restart(&mut self) -> Result<Running, String> {
        let mut attempts = if self.served { 4 } else { 1 };
        loop {
            attempts -= 1;
            match self.start() {
                Ok(child) => {
                    self.served = true;
                    return Ok(child);
                }
                Err(reason) if attempts == 0 => return Err(reason),
                Err(_) => std::thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    fn start(&mut self) -> Result<Running, String> {
        let mut child = Running::spawn((self.command)())
            .map_err(|error| format!("no trial process: {error}"))?;
        match child.answer(self.limit)? {
            Answer::Ready { adapter, driver }
                if (&adapter, &driver) == (&self.device.0, &self.device.1) =>
            {
                Ok(child)
            }
            Answer::Ready { adapter, .. } => {
                Err(format!("the trial process computes on {adapter}"))
            }
            other => Err(format!("the trial process said {other:?}")),
        }
    }
}

/// A child and its pipes; ended when dropped.
struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Vec<u8>>,
    /// The last line it wrote to stderr, where drivers complain.
    complaint: Arc<Mutex<String>>,
}

/// How long the system may take to end a process. One whose driver hangs may not end at all.
const MOURNING: Duration = Duration::from_secs(2);

/// No line of the protocol is longer; no more is held of one that is.
const LONGEST: u64 = 16 << 10;

impl Running {
    fn spawn(mut command: Command) -> std::io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        };
        // A pipe can be waited for without a bound only; so threads do, until it is closed.
        let (sender, lines) = sync_channel(4);
        std::thread::spawn(move || for_each_line(stdout, |line| sender.send(line).is_ok()));
        let complaint = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&complaint);
        std::thread::spawn(move || {
            for_each_line(stderr, |line| {
                let words = String::from_utf8_lossy(&line);
                if !words.trim().is_empty() {
                    *heard.lock().unwrap_or_else(PoisonError::into_inner) = shorten(&words);
                }
                true
            });
        });
        Ok(Running { child, stdin, lines, complaint })
    }

    fn ask(&mut self, line: &str, limit: Duration) -> Result<Answer, String> {
        // One that is gone is found out by its silence.
        let _ = self.stdin.write_all(format!("{line}\n").as_bytes());
        self.answer(limit)
    }

    fn answer(&mut self, limit: Duration) -> Result<Answer, String> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => serde_json::from_slice(&line).map_err(|_| {
                let words = shorten(&String::from_utf8_lossy(&line));
                format!("the trial process spoke nonsense: '{words}'")
            }),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("no answer within {} s", limit.as_secs_f64()))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let end = self.wait().map_or("it hangs".into(), |status| status.to_string());
                let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
                let colon = if complaint.is_empty() { "" } else { ": " };
                Err(format!("the trial process ended ({end}){colon}{complaint}"))
            }
        }
    }

    /// How the child ended, if it does before long.
    fn wait(&mut self) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(None) if start.elapsed() < MOURNING => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                ended => return ended.ok().flatten(),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // fails where it has ended
        self.wait();
    }
}

/// Calls with each line, without more of it than [`LONGEST`], until one is refused.
fn for_each_line(pipe: impl Read, mut take: impl FnMut(Vec<u8>) -> bool) {
    let mut pipe = BufReader::new(pipe);
    loop {
        let mut line = Vec::new();
        match pipe.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(length) if length > 0 && take(line) => {}
            _ => return,
        }
    }
}

/// The beginning of a line, for a table.
fn shorten(words: &str) -> String {
    words.trim().chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::bench::Extents;
    use super::super::gemm::AccuracyName;
    use super::*;

    fn trial(algorithm: &str) -> Trial {
        let shape = Extents { batch: 1, m: 2, n: 3, k: 4 };
        let (dtype, accuracy) = (FloatName::F32, AccuracyName::F32);
        let problem = Problem { shape, dtype, out: dtype, accuracy };
        Trial { problem, algorithm: algorithm.into(), repeats: 1 }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// An examiner of children that run this script.
    fn examiner(script: &str) -> Examiner<impl FnMut() -> Command> {
        let limit = Duration::from_secs(5);
        Examiner::new(move || shell(script), limit, ("card".into(), "1".into()))
    }

    const READY: &str = r#"echo '{"ready":{"adapter":"card","driver":"1"}}'; "#;

    #[test]
    fn a_child_that_ends_says_how() {
        let reason = examiner("exit 3").measure(&trial("a")).unwrap_err();
        assert!(reason.contains("exit status: 3"), "{reason}");
        let script = "echo 'NVVM compilation failed' >&2; sleep 0.2; kill -ABRT $$";
        let reason = examiner(script).measure(&trial("a")).unwrap_err();
        assert!(reason.contains("signal: 6") && reason.contains("NVVM"), "{reason}");
        let mut none = Examiner::new(
            || Command::new("/no/such/program"),
            Duration::from_secs(5),
            Default::default(),
        );
        let reason = none.measure(&trial("a")).unwrap_err();
        assert!(reason.contains("no trial process"), "{reason}");
    }

    #[test]
    fn a_child_that_hangs_is_ended() {
        let mut examiner = examiner("exec sleep 60");
        examiner.limit = Duration::from_millis(100);
        let start = Instant::now();
        let reason = examiner.measure(&trial("a")).unwrap_err();
        assert!(reason.contains("no answer within 0.1 s"), "{reason}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn nonsense_is_no_measurement() {
        for script in [
            "echo hello; cat",
            "echo; cat",
            "echo '{\"seconds\":1}'; cat",
            "echo '{\"ready\":{\"adapter\":\"other\",\"driver\":\"1\"}}'; cat",
            "yes no | tr -d '\\n'",
            "exec yes",
        ] {
            let reason = examiner(script).measure(&trial("a")).unwrap_err();
            assert!(reason.starts_with("the trial process"), "{script}: {reason}");
            assert!(reason.len() < 300, "{reason}");
        }
        for seconds in ["0", "-1", "1e300", "null", "NaN"] {
            let script = format!("{READY} read trial; echo '{{\"seconds\":{seconds}}}'; cat");
            let reason = examiner(&script).measure(&trial("a")).unwrap_err();
            assert!(reason.starts_with("the trial process"), "{seconds}: {reason}");
        }
    }

    /// Three candidates: one measures, one reports a failure, one kills its process.
    #[test]
    fn a_child_that_dies_takes_one_candidate_along() {
        let answers = r#"
            while read -r trial; do case $trial in
                *good*) echo '{"seconds":0.5}';;
                *wrong*) echo '{"failed":"wrong result: 1 is 2"}';;
                *) kill -SEGV $$;;
            esac; done"#;
        let script = format!("{READY}{answers}");
        let starts = std::cell::Cell::new(0);
        let start = || {
            starts.set(starts.get() + 1);
            shell(&script)
        };
        let mut examiner =
            Examiner::new(start, Duration::from_secs(5), ("card".into(), "1".into()));
        let half = Ok(Duration::from_millis(500));
        assert_eq!(examiner.measure(&trial("good")), half);
        assert_eq!(examiner.measure(&trial("good")), half);
        assert_eq!(starts.get(), 1);
        assert_eq!(examiner.measure(&trial("wrong")), Err("wrong result: 1 is 2".into()));
        assert_eq!(examiner.measure(&trial("good")), half);
        let reason = examiner.measure(&trial("deadly")).unwrap_err();
        assert!(reason.contains("signal: 11"), "{reason}");
        assert_eq!(examiner.measure(&trial("good")), half);
        assert_eq!(starts.get(), 3);

        // As the search sees it.
        let names = vec!["deadly", "good", "wrong"];
        let trials = gvpie_core::tune::halve(names, 1, |name, _| examiner.measure(&trial(name)));
        assert_eq!(trials[0].candidate, "good");
        assert!(trials[1].outcome.is_err() && trials[2].outcome.is_err());
    }
}
