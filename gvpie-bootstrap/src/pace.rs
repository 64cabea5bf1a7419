//! Sixty frames a second by the clock, whatever the display's rate.

use std::time::{Duration, Instant};

/// Frames a second.
const RATE: u64 = 60;

/// Frames that are made up for when the clock has gone on without them; more are left out.
const LATE: u64 = 4;

const SECOND: u64 = 1_000_000_000; // nanoseconds

/// Milliseconds from the beginning to this frame.
pub fn time(frame: u64) -> u32 {
    (frame * 1000 / RATE) as u32
}

/// Which frames are due. Its clock begins with the first frame, and stands still while nothing runs.
#[derive(Debug, Default)]
pub struct Pace {
    begun: Option<Instant>,
    /// Since when the clock stands still.
    held: Option<Instant>,
    /// The next frame.
    frame: u64,
}

impl Pace {
    /// Takes a frame that is due: its milliseconds since the beginning.
    pub fn due(&mut self, now: Instant) -> Option<u32> {
        let begun = self.begun.get_or_insert(now);
        if let Some(held) = self.held.take() {
            *begun += now.saturating_duration_since(held);
        }
        let passed = now.saturating_duration_since(*begun).as_nanos() * u128::from(RATE);
        let passed = (passed / u128::from(SECOND)) as u64;
        if passed < self.frame {
            return None;
        }
        let frame = self.frame.max(passed.saturating_sub(LATE));
        self.frame = frame + 1;
        Some(time(frame))
    }

    /// Stands still until a frame is asked for again.
    pub fn hold(&mut self, now: Instant) {
        self.held.get_or_insert(now);
    }

    /// When the next frame is due.
    pub fn next(&self) -> Option<Instant> {
        let after = (self.frame * SECOND).div_ceil(RATE);
        self.begun.map(|begun| begun + Duration::from_nanos(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_are_due_in_a_second_at_any_rate_of_asking() {
        for rate in [30, 60, 144, 1000] {
            let (start, mut pace, mut frames) = (Instant::now(), Pace::default(), Vec::new());
            for ask in 0..=rate {
                let now = start + Duration::from_nanos(ask * SECOND / rate);
                frames.extend(std::iter::from_fn(|| pace.due(now)));
            }
            let expected: Vec<u32> = (0..=60).map(time).collect();
            assert_eq!(frames, expected, "{rate}");
        }
        assert_eq!([0, 1, 3, 60].map(time), [0, 16, 50, 1000]);
    }

    #[test]
    fn frames_are_due_when_the_next_was_said_to_be() {
        let mut pace = Pace::default();
        assert_eq!((pace.next(), pace.due(Instant::now())), (None, Some(0)));
        for frame in 1..200 {
            let next = pace.next().unwrap();
            assert_eq!(pace.due(next - Duration::from_nanos(1)), None);
            assert_eq!(pace.due(next), Some(time(frame)));
        }
    }

    #[test]
    fn what_is_far_behind_is_left_out_and_pauses_take_no_time() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        let second = |at: u64| start + Duration::from_secs(at);
        assert_eq!(pace.due(second(0)), Some(0));
        let late: Vec<u32> = std::iter::from_fn(|| pace.due(second(1))).collect();
        assert_eq!(late, [56, 57, 58, 59, 60].map(time));
        pace.hold(second(1));
        pace.hold(second(2));
        assert_eq!(pace.due(second(31)), None);
        assert_eq!(pace.due(second(32)), Some(time(116)));
    }
}
