//! A day in minutes: cycles one after another, and the memory that they take.

use super::*;
use crate::effort::Effort;
use gvpie::daemon::{self, Clock, Stop};
use std::cell::{Cell, RefCell};

/// From one cycle to the next.
const INTERVAL: Duration = Duration::from_secs(10);

/// A day of them.
const DAY: u32 = 8640;

/// A clock that is not waited for, and looks at the memory of processes now and then.
struct Fast<'a> {
    now: Cell<Duration>,
    left: Cell<u32>,
    each: u32,
    look: RefCell<Box<dyn FnMut() + 'a>>,
}

impl Clock for Fast<'_> {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn wait(&self, until: Duration, stop: &Stop) -> bool {
        self.now.set(until);
        self.left.set(self.left.get() - 1);
        if self.left.get().is_multiple_of(self.each) {
            (self.look.borrow_mut())();
        }
        self.left.get() == 0 || stop.asked()
    }
}

/// Resident memory of a process, in MiB.
fn resident(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

/// The slope of the line that fits samples best, a sample an hour apart from the next by `hours`.
fn slope(samples: &[f64], hours: f64) -> f64 {
    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
    let middle = (samples.len() - 1) as f64 / 2.0;
    let (mut with, mut across) = (0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let from = at as f64 - middle;
        with += from * (sample - mean);
        across += from * from;
    }
    with / across / hours
}

#[test]
fn a_day_of_cycles_takes_no_more_memory_than_an_hour() {
    if resident("self").is_none() {
        return println!("SKIPPED: no /proc/self/status here");
    }
    let cycles = if Effort::of_environment() == Effort::Full { DAY } else { 1000 };
    let each = cycles / 40;
    let folder = folder();
    for name in ["one", "two", "three", "four"] {
        insert(folder.path(), name, HELLO);
    }
    let mut server = Process::serve(folder.path());
    let process = server.child.id().to_string();
    let mut samples = [Vec::new(), Vec::new()];
    let began = Instant::now();
    let clock = Fast {
        now: Cell::default(),
        left: Cell::new(cycles),
        each,
        look: RefCell::new(Box::new(|| {
            samples[0].push(resident("self").unwrap());
            samples[1].push(resident(&process).unwrap());
        })),
    };
    let options = daemon::Options {
        data: folder.path().into(),
        api: server.url.clone(),
        interval: INTERVAL,
        allow_network: false,
        allow_python: false,
        token: None,
        progress: false,
    };
    daemon::run_by(options, &Stop::default(), &clock).unwrap();
    drop(clock);
    let took = began.elapsed().as_secs_f64();
    let hours = f64::from(each) * INTERVAL.as_secs_f64() / 3600.0;
    for (samples, name) in samples.iter().zip(["daemon", "server"]) {
        // Caches fill in the first quarter.
        let settled = &samples[samples.len() / 4..];
        let slope = slope(settled, hours);
        println!(
            "{name}: {:.1} MiB, then {:.1} to {:.1} MiB, {slope:+.3} MiB/h of {:.1} h",
            samples[0],
            settled[0],
            settled[settled.len() - 1],
            hours * samples.len() as f64
        );
        assert!(slope < 1.0, "{name}: {slope} MiB/h");
    }
    let ok = number(folder.path(), "SELECT count(*) FROM improvement_runs WHERE status = 'ok'");
    let all = number(folder.path(), "SELECT count(*) FROM improvement_runs");
    let mean = number(folder.path(), "SELECT max(duration_ms) FROM improvement_runs");
    println!("{cycles} cycles, {ok} of {all} runs ok, {mean} ms at most, in {took:.1} s");
    assert_eq!((ok, all), (i64::from(cycles) * 3, i64::from(cycles) * 3));
    let backups = folder.path().join("backups").read_dir().unwrap().count();
    assert!(backups >= 1);
    assert!(server.ends());
    check(folder.path());
}
