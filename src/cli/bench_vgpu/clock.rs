//! What a processor spends.

use std::time::Duration;

/// Time that all threads of this process have computed so far; where the system does not tell, time.
pub(super) fn spent() -> Duration {
    #[cfg(unix)]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }
    #[cfg(not(unix))]
    {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

/// About how long a run takes, and of how many the median is taken.
const TARGET: f64 = 0.04;
const RUNS: usize = 7;

/// Milliseconds of processor time that one call of `work` takes: the median of runs of as many as take
/// about 40 ms; of few where one takes long.
pub(super) fn median<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut time = |count: usize| {
        let start = spent();
        (0..count).try_for_each(|_| work())?;
        Ok((spent() - start).as_secs_f64() / count as f64)
    };
    let once = time(1)?;
    let count = (TARGET / once.max(1e-6)).clamp(1.0, 10_000.0) as usize;
    let runs = if once > 10.0 * TARGET { 1 } else { RUNS };
    let mut times = (0..runs).map(|_| time(count)).collect::<Result<Vec<_>, E>>()?;
    times.sort_unstable_by(f64::total_cmp);
    Ok(times[times.len() / 2] * 1e3)
}
