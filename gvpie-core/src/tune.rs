//! Measured choices, kept between runs, and the search that makes them.
//!
//! Where an operation has several algorithms for a problem, a model picks one, and a measurement
//! may know better. What was measured stands in one file, `tune.json`, in the cache folder
//! ([`ContextOptions::cache`](crate::ContextOptions::cache)). It is plain JSON: people may read it,
//! and delete it at any time.
//!
//! * A choice holds for one adapter, driver, driver version, version of this crate, text of the
//!   operation's shaders, and class of problems; in all else it is unknown.
//! * A choice is a hint: it names an algorithm by its printed name, and the operation decides
//!   whether it has that algorithm and may use it. No entry can take a result out of the error
//!   bound that the operation states.
//! * A file that is damaged or of another format is moved aside to `tune.damaged.json`, an entry
//!   that is of no use is left alone; each with one warning.
//!
//! [`halve`] searches; what one trial is, and where it can do no harm, is its caller's to say.

use crate::cache;
use crate::device::Device;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Goes up whenever older versions would misread the file.
const FORMAT: u32 = 1;

/// What a choice is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The operation.
    pub op: String,
    /// The [`fingerprint`] of its shaders.
    pub shaders: String,
    /// The problems that the choice serves, in the operation's own words.
    pub class: String,
}

/// The algorithm that was the fastest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Its printed name.
    pub algorithm: String,
    /// Seconds that one run took.
    pub seconds: f64,
    /// Seconds that the algorithm took which is chosen without a measurement; `None` if it failed.
    pub default_seconds: Option<f64>,
}

/// Where a choice was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Machine {
    adapter: String,
    vendor: u32,
    device: u32,
    api: String,
    driver: String,
    driver_version: String,
    gvpie: String,
}

impl Machine {
    fn of(device: &Device) -> Option<Self> {
        let info = device.gpu()?.info();
        Some(Machine {
            adapter: info.name.clone(),
            vendor: info.vendor,
            device: info.device,
            api: info.backend.to_string(),
            driver: info.driver.clone(),
            driver_version: info.driver_info.clone(),
            gvpie: env!("CARGO_PKG_VERSION").into(),
        })
    }

    /// Whether both are one adapter, whatever drives it.
    fn is_adapter_of(&self, other: &Machine) -> bool {
        let adapter = |m: &Machine| (m.adapter.clone(), m.vendor, m.device);
        adapter(self) == adapter(other)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    machine: Machine,
    subject: Subject,
    choice: Choice,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    entries: Vec<Entry>,
}

impl Document {
    fn parse(text: &[u8]) -> Result<Vec<Entry>, String> {
        // The format first: a later one may have other fields.
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let damaged = |error: serde_json::Error| format!("it is damaged: {error}");
        let Head { format } = serde_json::from_slice(text).map_err(damaged)?;
        if format != FORMAT {
            return Err(format!("its format is {format}, this version reads {FORMAT}"));
        }
        let Document { entries, .. } = serde_json::from_slice(text).map_err(damaged)?;
        let positive = |seconds: f64| seconds.is_finite() && seconds > 0.0;
        match entries.iter().find(|e| {
            let Choice { seconds, default_seconds, .. } = e.choice;
            !positive(seconds) || !default_seconds.is_none_or(positive)
        }) {
            Some(entry) => Err(format!("it is damaged: no time is {:?}", entry.choice)),
            None => Ok(entries),
        }
    }
}

/// The measured choices of one device. Made with its context; the file is read when a choice is
/// first asked for, and never on the host's processor.
#[derive(Debug)]
pub struct Choices {
    machine: Option<Machine>,
    path: Option<PathBuf>,
    /// This machine's, once they have been read.
    known: Mutex<Option<HashMap<Subject, Choice>>>,
}

impl Choices {
    pub(crate) fn new(device: &Device, folder: Option<&Path>) -> Self {
        let folder = folder.filter(|_| cfg!(not(target_arch = "wasm32"))); // which has no files
        let path = folder.map(|folder| folder.join("tune.json"));
        Choices { machine: Machine::of(device), path, known: Mutex::default() }
    }

    /// The file; `None` where nothing is kept.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What `read` makes of the choice for a subject, if there is one. A choice that `read`
    /// refuses is warned of once, and then unknown.
    ///
    /// `subject` is not called where no choice is known at all, as on most machines.
    pub fn find<T, E: std::fmt::Display>(
        &self,
        subject: impl FnOnce() -> Subject,
        read: impl FnOnce(&Choice) -> Result<T, E>,
    ) -> Option<T> {
        let (subject, choice) = {
            let mut known = self.known();
            let known = known.get_or_insert_with(|| self.mine(self.load()));
            if known.is_empty() {
                return None;
            }
            let subject = subject();
            let choice = known.get(&subject)?.clone();
            (subject, choice)
        };
        // Unlocked: `read` may compile.
        match read(&choice) {
            Ok(found) => Some(found),
            Err(error) => {
                let Choice { algorithm, .. } = choice;
                tracing::warn!("measured choice '{algorithm}' is ignored: {error}");
                self.known().as_mut()?.remove(&subject);
                None
            }
        }
    }

    /// Keeps a choice, in the place of any for the same subject.
    ///
    /// # Errors
    /// Those of writing the file; [`io::ErrorKind::Unsupported`] where nothing is kept.
    pub fn keep(&self, subject: Subject, choice: Choice) -> io::Result<()> {
        let Some(machine) = self.machine.clone() else { return Err(nowhere()) };
        self.change(|entries| {
            entries.retain(|entry| entry.machine != machine || entry.subject != subject);
            entries.push(Entry { machine, subject, choice });
        })
    }

    /// Forgets all choices for this adapter, also those of other drivers and versions; how many.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub fn forget(&self) -> io::Result<usize> {
        let Some(machine) = &self.machine else { return Err(nowhere()) };
        let mut forgotten = 0;
        self.change(|entries| {
            let before = entries.len();
            entries.retain(|entry| !entry.machine.is_adapter_of(machine));
            forgotten = before - entries.len();
        })?;
        Ok(forgotten)
    }

    /// Reads, changes and writes the file while no other process does.
    fn change(&self, edit: impl FnOnce(&mut Vec<Entry>)) -> io::Result<()> {
        let path = self.path.as_deref().ok_or_else(nowhere)?;
        let lock = lock(path)?;
        let mut entries = load_locked(path);
        edit(&mut entries);
        let document = Document { format: FORMAT, entries };
        let text = serde_json::to_vec_pretty(&document)?;
        cache::replace(path, &[&text, b"\n"])?;
        drop(lock);
        *self.known() = Some(self.mine(document.entries));
        Ok(())
    }

    fn load(&self) -> Vec<Entry> {
        let (Some(path), Some(_)) = (&self.path, &self.machine) else { return Vec::new() };
        match read(path) {
            Ok(entries) => entries,
            // Another process may have mended it meanwhile; only one may move it.
            Err(_) => {
                let _lock = lock(path);
                load_locked(path)
            }
        }
    }

    fn mine(&self, entries: Vec<Entry>) -> HashMap<Subject, Choice> {
        let mine =
            entries.into_iter().filter(|entry| Some(&entry.machine) == self.machine.as_ref());
        mine.map(|entry| (entry.subject, entry.choice)).collect()
    }

    fn known(&self) -> MutexGuard<'_, Option<HashMap<Subject, Choice>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nowhere() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "nothing is kept here")
}

/// The entries of a file; none where there is no file, or none that can be opened.
fn read(path: &Path) -> Result<Vec<Entry>, String> {
    match std::fs::read(path) {
        Ok(text) => Document::parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => {
            tracing::warn!("measured choices in {} are not used: {error}", path.display());
            Ok(Vec::new())
        }
    }
}

/// The same, with a file that is of no use moved out of the way.
fn load_locked(path: &Path) -> Vec<Entry> {
    read(path).unwrap_or_else(|reason| {
        let fate = cache::set_aside(path, "damaged.json");
        tracing::warn!("measured choices in {} are not used: {reason}; {fate}", path.display());
        Vec::new()
    })
}

/// Holds other writers off until it is dropped. One that hangs is waited for two seconds, no
/// longer: then a choice of the two may be lost, but never the file, which changes in one step.
fn lock(path: &Path) -> io::Result<std::fs::File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let file = std::fs::File::create(path.with_extension("lock"))?;
    for _ in 0..200 {
        match file.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            // Some network file systems have no locks.
            Ok(()) | Err(std::fs::TryLockError::Error(_)) => break,
        }
    }
    Ok(file)
}

/// Tells the text of this crate's shaders whose names begin with `prefix`, and of all that several
/// operations share, from any other. A checksum is enough: it guards against change, not malice,
/// and a choice that outlived its shader would cost time only.
pub fn fingerprint(prefix: &str) -> String {
    fingerprint_of(crate::shader::sources(), prefix)
}

fn fingerprint_of(sources: &[(&str, &str)], prefix: &str) -> String {
    let mut hasher = crc32fast::Hasher::new();
    for (name, text) in sources {
        if name.starts_with(prefix) || name.starts_with("shared/") {
            hasher.update(name.as_bytes());
            hasher.update(text.as_bytes());
        }
    }
    format!("{:08x}", hasher.finalize())
}

/// What came of one candidate of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial<C, E> {
    /// The candidate.
    pub candidate: C,
    /// Its last measured time, or why it has none.
    pub outcome: Result<Duration, E>,
}

/// Successive halving (Jamieson and Talwalkar, AISTATS 2016): measures every candidate with
/// `repeats`, the better half of them with twice as many, and so on while more than one is left,
/// so that most of the time is spent on telling the best from the second best.
///
/// A candidate that fails is out, whatever it measured before; one that went out for its time
/// comes back where those before it fail. The result holds every candidate once: the winner
/// first, the failed ones last.
///
/// ```
/// use gvpie_core::tune::halve;
/// use std::time::Duration;
/// let trials = halve(vec![30, 10, 20], 1, |&candidate, _repeats| match candidate {
///     10 => Err("wrong result"),
///     other => Ok(Duration::from_micros(other)),
/// });
/// assert_eq!(trials[0].candidate, 20);
/// assert_eq!(trials[2].outcome, Err("wrong result"));
/// ```
pub fn halve<C, E>(
    candidates: Vec<C>,
    repeats: u32,
    mut measure: impl FnMut(&C, u32) -> Result<Duration, E>,
) -> Vec<Trial<C, E>> {
    let unmeasured = |candidate| Trial { candidate, outcome: Ok(Duration::ZERO) };
    let mut ranked: Vec<_> = candidates.into_iter().map(unmeasured).collect();
    let mut failed = Vec::new();
    let (mut keep, mut repeats) = (ranked.len(), repeats.max(1));
    loop {
        let beaten = ranked.split_off(keep.min(ranked.len()));
        let measured = ranked.into_iter().map(|Trial { candidate, .. }| {
            let outcome = measure(&candidate, repeats);
            Trial { candidate, outcome }
        });
        let (mut passed, out): (Vec<_>, Vec<_>) = measured.partition(|t| t.outcome.is_ok());
        passed.sort_by_key(|trial| trial.outcome.as_ref().ok().copied()); // equals keep their order
        failed.extend(out);
        let decided = matches!(passed.len(), 1 | 2) || passed.is_empty() && beaten.is_empty();
        // Where all have failed, the best of those beaten is tried again.
        keep = passed.len().div_ceil(2).max(1);
        repeats = repeats.saturating_mul(2);
        ranked = passed;
        ranked.extend(beaten);
        if decided {
            ranked.extend(failed);
            return ranked;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            adapter: "Card 9".into(),
            vendor: 1,
            device: 2,
            api: "vulkan".into(),
            driver: "driver".into(),
            driver_version: "3.1".into(),
            gvpie: "0.1.0".into(),
        }
    }

    fn choices(machine: Machine, folder: &Path) -> Choices {
        let path = Some(folder.join("deep").join("tune.json"));
        Choices { machine: Some(machine), path, known: Mutex::default() }
    }

    fn subject(class: &str) -> Subject {
        Subject { op: "gemm".into(), shaders: "00000000".into(), class: class.into() }
    }

    fn choice(algorithm: &str) -> Choice {
        Choice { algorithm: algorithm.into(), seconds: 1e-3, default_seconds: Some(2e-3) }
    }

    fn found(choices: &Choices, subject: &Subject) -> Option<String> {
        choices.find(|| subject.clone(), |choice| Ok::<_, String>(choice.algorithm.clone()))
    }

    #[test]
    fn choices_come_back_where_they_were_measured_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let here = choices(machine(), folder.path());
        assert_eq!(found(&here, &subject("a")), None);
        here.keep(subject("a"), choice("first")).unwrap();
        here.keep(subject("b"), choice("other")).unwrap();
        here.keep(subject("a"), choice("second")).unwrap();
        assert_eq!(found(&here, &subject("a")).as_deref(), Some("second"));
        let again = choices(machine(), folder.path());
        assert_eq!(found(&again, &subject("a")).as_deref(), Some("second"));
        assert_eq!(found(&again, &subject("b")).as_deref(), Some("other"));

        let elsewhere = [
            Machine { adapter: "Card 8".into(), ..machine() },
            Machine { vendor: 9, ..machine() },
            Machine { device: 9, ..machine() },
            Machine { api: "gl".into(), ..machine() },
            Machine { driver: "another".into(), ..machine() },
            Machine { driver_version: "3.2".into(), ..machine() },
            Machine { gvpie: "0.2.0".into(), ..machine() },
        ];
        for machine in elsewhere {
            let there = choices(machine, folder.path());
            assert_eq!(found(&there, &subject("a")), None, "{there:?}");
        }
        for other in [
            Subject { op: "fft".into(), ..subject("a") },
            Subject { shaders: "00000001".into(), ..subject("a") },
            subject("a, transposed"),
        ] {
            assert_eq!(found(&again, &other), None, "{other:?}");
        }
    }

    #[test]
    fn forgetting_spares_other_adapters() {
        let folder = tempfile::tempdir().unwrap();
        let other = choices(Machine { vendor: 7, ..machine() }, folder.path());
        other.keep(subject("a"), choice("theirs")).unwrap();
        let older = choices(Machine { driver_version: "2".into(), ..machine() }, folder.path());
        older.keep(subject("a"), choice("old")).unwrap();
        let here = choices(machine(), folder.path());
        here.keep(subject("a"), choice("mine")).unwrap();
        assert_eq!(here.forget().unwrap(), 2);
        assert_eq!(found(&here, &subject("a")), None);
        let other = choices(Machine { vendor: 7, ..machine() }, folder.path());
        assert_eq!(found(&other, &subject("a")).as_deref(), Some("theirs"));
    }

    #[test]
    fn files_of_no_use_are_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let here = choices(machine(), folder.path());
        here.keep(subject("a"), choice("first")).unwrap();
        let path = here.path().unwrap();
        let whole = std::fs::read_to_string(path).unwrap();
        let damages = [
            String::new(),
            "[]".into(),
            "\u{0}\u{1}".into(),
            whole[..whole.len() / 2].into(),
            whole.replace("\"format\": 1", "\"format\": 2"),
            whole.replace("\"vendor\": 1", "\"vendor\": -1"),
            whole.replace("\"seconds\": 0.001", "\"seconds\": -0.001"),
            whole.replace("\"seconds\": 0.001", "\"seconds\": 0.001, \"more\": 1"),
        ];
        for damage in damages {
            assert_ne!(damage, whole);
            std::fs::write(path, &damage).unwrap();
            let again = choices(machine(), folder.path());
            assert_eq!(found(&again, &subject("a")), None);
            assert!(!path.exists(), "{damage}");
            let aside = std::fs::read_to_string(path.with_extension("damaged.json")).unwrap();
            assert_eq!(aside, damage);
            again.keep(subject("a"), choice("second")).unwrap();
            let again = choices(machine(), folder.path());
            assert_eq!(found(&again, &subject("a")).as_deref(), Some("second"));
        }
    }

    #[test]
    fn a_refused_choice_is_looked_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let here = choices(machine(), folder.path());
        here.keep(subject("a"), choice("no such thing")).unwrap();
        here.keep(subject("b"), choice("fine")).unwrap();
        let mut looks = 0;
        for _ in 0..3 {
            let refuse = |_: &Choice| {
                looks += 1;
                Err::<(), _>("no such algorithm")
            };
            assert_eq!(here.find(|| subject("a"), refuse), None);
        }
        assert_eq!(looks, 1);
        assert_eq!(found(&here, &subject("b")).as_deref(), Some("fine"));
    }

    #[test]
    fn writers_at_the_same_time_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let mine = choices(machine(), folder.path());
                scope.spawn(move || {
                    for i in 0..5 {
                        mine.keep(subject(&format!("{writer} {i}")), choice("x")).unwrap();
                    }
                });
            }
        });
        let here = choices(machine(), folder.path());
        let classes = (0..4).flat_map(|w| (0..5).map(move |i| format!("{w} {i}")));
        assert!(classes.into_iter().all(|class| found(&here, &subject(&class)).is_some()));
    }

    #[test]
    fn nothing_is_read_or_kept_without_a_folder() {
        let nowhere = Choices { machine: Some(machine()), path: None, known: Mutex::default() };
        assert_eq!(found(&nowhere, &subject("a")), None);
        let error = nowhere.keep(subject("a"), choice("x")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn a_fingerprint_changes_with_its_shaders_only() {
        let sources =
            |gemm, shared, fft| [("gemm.wgsl", gemm), ("shared/a.wgsl", shared), ("fft.wgsl", fft)];
        let print = |gemm, shared, fft| fingerprint_of(&sources(gemm, shared, fft), "gemm");
        let before = print("a", "b", "c");
        assert_eq!(before, print("a", "b", "d"));
        assert_ne!(before, print("d", "b", "c"));
        assert_ne!(before, print("a", "d", "c"));
    }

    type Outcome<T> = Result<T, &'static str>;
    type Halved = Trial<String, &'static str>;

    /// Measures by a table of (candidate, microseconds or failure); writes down what it was asked.
    fn halved(table: &[(&str, Outcome<u64>)]) -> (Vec<Halved>, Vec<(String, u32)>) {
        let mut asked = Vec::new();
        let names = table.iter().map(|(name, _)| name.to_string()).collect();
        let trials = halve(names, 3, |name: &String, repeats| {
            asked.push((name.clone(), repeats));
            let row = table.iter().find(|(known, _)| known == name);
            row.map_or(Err("unknown"), |(_, time)| time.map(Duration::from_micros))
        });
        (trials, asked)
    }

    fn names(trials: &[Halved]) -> String {
        trials.iter().map(|trial| trial.candidate.as_str()).collect()
    }

    #[test]
    fn halving_ends_with_the_fastest() {
        let table = [("a", Ok(50)), ("b", Ok(10)), ("c", Ok(40)), ("d", Ok(20)), ("e", Ok(30))];
        let (trials, asked) = halved(&table);
        assert_eq!(names(&trials), "bdeca");
        let repeats: Vec<u32> = asked.iter().map(|(_, repeats)| *repeats).collect();
        assert_eq!(repeats, [3, 3, 3, 3, 3, 6, 6, 6, 12, 12]);
        assert_eq!(names(&halved(&table[..1]).0), "a");
        assert_eq!(names(&halved(&[]).0), "");
        let (tied, _) = halved(&[("a", Ok(5)), ("b", Ok(5)), ("c", Ok(5))]);
        assert_eq!(names(&tied), "abc");
    }

    #[test]
    fn halving_goes_on_without_those_that_fail() {
        let (trials, _) = halved(&[("a", Err("crash")), ("b", Ok(9)), ("c", Err("wrong"))]);
        assert_eq!(names(&trials), "bac");
        assert_eq!(trials[2].outcome, Err("wrong"));
        let (trials, asked) = halved(&[("a", Err("crash")), ("b", Err("hang"))]);
        assert_eq!((names(&trials).as_str(), asked.len()), ("ab", 2));

        // The two that were the fastest fail when they are measured again.
        let times = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];
        let trials = halve(times.to_vec(), 1, |&(name, time), repeats| match name {
            "a" | "b" if repeats > 1 => Err("late"),
            _ => Ok(Duration::from_micros(time)),
        });
        let order: String = trials.iter().map(|trial| trial.candidate.0).collect();
        assert_eq!(order, "cdab");
    }
}
