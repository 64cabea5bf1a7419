//! What a user does, as a program's ports tell it.

use crate::editor::Key;
use gvpie_core::pixel::{Inputs, State, Status};
use std::collections::VecDeque;

/// Bytes that wait for a program to read them, at most; what is typed beyond is lost.
const WAITING: usize = 64 << 10;

/// Keys or buttons: those that are down, and those that have been since the last frame, so that one
/// pressed for less than a frame is not missed.
#[derive(Debug, Default)]
struct Held {
    down: u32,
    since: u32,
}

impl Held {
    fn change(&mut self, bit: u32, down: bool) {
        if down {
            self.down |= bit;
            self.since |= bit;
        } else {
            self.down &= !bit;
        }
    }

    fn take(&mut self) -> u32 {
        std::mem::take(&mut self.since) | self.down
    }
}

/// Keys, mouse, and typed characters on their way to a program.
#[derive(Debug, Default)]
pub struct Controls {
    keys: Held,
    buttons: Held,
    /// Where the mouse is, in pixels of the canvas.
    pub mouse: [i32; 2],
    typed: VecDeque<u8>,
    ended: bool,
}

/// A key's bit of port 0x12.
fn bit(key: Key) -> u32 {
    match key {
        Key::Left => 1,
        Key::Right => 2,
        Key::Up => 4,
        Key::Down => 8,
        Key::Char(' ') => 16,
        Key::Enter => 32,
        _ => 0,
    }
}

/// The character that a key writes.
fn character(key: Key) -> Option<char> {
    match key {
        Key::Char(character) => Some(character),
        Key::Enter => Some('\n'),
        Key::Tab => Some('\t'),
        Key::Backspace => Some('\u{8}'),
        Key::Delete => Some('\u{7f}'),
        _ => None,
    }
}

impl Controls {
    /// A key goes down or up.
    pub fn key(&mut self, key: Key, down: bool) {
        self.keys.change(bit(key), down);
    }

    /// A button of the mouse, its bit of port 0x0a, goes down or up.
    pub fn button(&mut self, bit: u32, down: bool) {
        self.buttons.change(bit, down);
    }

    /// All keys and buttons go up.
    pub fn let_go(&mut self) {
        (self.keys.down, self.buttons.down) = (0, 0);
    }

    /// Types what a key writes, in UTF-8.
    pub fn type_key(&mut self, key: Key) {
        let Some(character) = character(key) else { return };
        if self.typed.len() < WAITING && !self.ended {
            self.typed.extend(character.encode_utf8(&mut [0; 4]).bytes());
        }
    }

    /// No more will be typed.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Forgets what was typed.
    pub fn forget(&mut self) {
        self.typed.clear();
        self.ended = false;
    }

    /// What a frame is told.
    pub fn inputs(&mut self, time: u32) -> Inputs {
        let (keys, buttons) = (self.keys.take(), self.buttons.take());
        Inputs { time, mouse: self.mouse, buttons, keys }
    }

    /// Gives a machine what was typed, as much as it has room for. One that waits for more does so
    /// until there is some, or there will be none.
    pub fn feed(&mut self, state: &mut State) {
        if state.status() == Status::Starved && self.typed.is_empty() && !self.ended {
            return;
        }
        let taken = state.feed(self.typed.make_contiguous(), !self.ended);
        self.typed.drain(..taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gvpie_core::pixel::{Program, at};

    #[test]
    fn keys_and_buttons_are_the_bits_of_their_ports() {
        let mut controls = Controls::default();
        let all = [Key::Left, Key::Right, Key::Up, Key::Down, Key::Char(' '), Key::Enter];
        for (place, key) in all.into_iter().enumerate() {
            controls.key(key, true);
            assert_eq!(controls.inputs(0).keys, 1 << place, "{key:?}");
            controls.key(key, false);
            assert_eq!(controls.inputs(0).keys, 0);
        }
        controls.key(Key::Char('a'), true);
        controls.key(Key::Left, true);
        controls.key(Key::Up, true);
        controls.button(2, true);
        controls.mouse = [3, 4];
        let inputs = Inputs { time: 7, mouse: [3, 4], buttons: 2, keys: 5 };
        assert_eq!(controls.inputs(7), inputs);
        controls.let_go();
        assert_eq!(controls.inputs(8), Inputs { time: 8, mouse: [3, 4], ..Inputs::default() });
    }

    #[test]
    fn a_tap_within_a_frame_is_told_to_one() {
        let mut controls = Controls::default();
        controls.key(Key::Down, true);
        controls.key(Key::Down, false);
        controls.button(1, true);
        controls.button(1, false);
        let inputs = controls.inputs(0);
        assert_eq!((inputs.keys, inputs.buttons), (8, 1));
        assert_eq!(controls.inputs(1), Inputs { time: 1, ..Inputs::default() });
    }

    #[test]
    fn what_is_typed_is_fed_as_there_is_room() {
        let mut controls = Controls::default();
        let mut state = State::new(&Program::default(), 0, 1);
        controls.feed(&mut state);
        assert_eq!((state.words()[at::INPUT_HELD], state.words()[at::INPUT_MORE]), (0, 1));
        for key in [Key::Char('é'), Key::Enter, Key::Left, Key::Tab] {
            controls.type_key(key);
        }
        controls.feed(&mut state);
        assert_eq!(state.words()[at::INPUT], u32::from_le_bytes([0xc3, 0xa9, b'\n', b'\t']));
        (0..300).for_each(|_| controls.type_key(Key::Char('x')));
        controls.end();
        controls.type_key(Key::Char('y'));
        controls.feed(&mut state);
        assert_eq!((state.words()[at::INPUT_HELD], controls.typed.len()), (256, 48));
        assert_eq!(state.words()[at::INPUT_MORE], 1);
        let mut next = State::new(&Program::default(), 0, 1);
        controls.feed(&mut next);
        assert_eq!((next.words()[at::INPUT_HELD], next.words()[at::INPUT_MORE]), (48, 0));
    }
}
