//! A program that plays: its machine, frame by frame. No device, no window.

use crate::Failure;
use crate::controls::Controls;
use crate::editor::Key;
use crate::present::Camera;
use glam::UVec2;
use gvpie_core::pixel::{Cartridge, Fault, Machines, PixelPlan, Status};
use gvpie_core::{Backend, Context, Pixel};
use std::io::{ErrorKind, Write};
use std::time::Instant;

/// Characters of a name that a title shows.
const NAME: usize = 60;

/// What ends a tick whose frame does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The clock; the next tick goes on.
    Until(Instant),
    /// So many cycles; the program is stopped with a fault.
    Cycles(u32),
}

/// A program on its way, and what of it is to be seen.
#[derive(Debug)]
pub struct Player {
    /// The file that it is from.
    file: String,
    name: String,
    plan: PixelPlan,
    machines: Machines,
    /// Cycles after which it is stopped.
    limit: u64,
    /// Cycles that it has run.
    cycles: u64,
    status: Status,
    /// Whether no frame has begun yet.
    fresh: bool,
    /// Whether it has shown a picture by YIELD.
    yields: bool,
    paused: bool,
    fault: Option<String>,
    /// Keys, mouse and text on their way to it.
    pub controls: Controls,
    canvas: UVec2,
    camera: Camera,
    picture: Vec<u32>,
    /// Whether the picture is another than when it was last asked.
    changed: bool,
}

impl Player {
    /// A cartridge before its first instruction, in a frame of so many pixels.
    pub fn new(cartridge: Cartridge, file: String, frame: UVec2) -> Result<Self, Failure> {
        let Cartridge { program, meta, max_cycles, .. } = cartridge;
        let named = [meta.name, meta.id.unwrap_or_default()].into_iter().find(|n| !n.is_empty());
        let name = named.unwrap_or_else(|| file.rsplit(['/', '\\']).next().unwrap_or("").into());
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let canvas = UVec2::from(program.canvas);
        // A single machine is at home on the host, and outlives any device that shows its canvas.
        let plan = Pixel::new(program).plan(&Context::on(Backend::Cpu)?)?;
        let mut machines = plan.start()?;
        let picture = blank(&mut machines)?;
        Ok(Player {
            file,
            name: name.chars().map(plain).take(NAME).collect(),
            plan,
            machines,
            limit: if max_cycles == 0 { u64::MAX } else { max_cycles },
            cycles: 0,
            status: Status::Running,
            fresh: true,
            yields: false,
            paused: false,
            fault: None,
            controls: Controls::default(),
            canvas,
            camera: Camera::of_canvas(frame, canvas),
            picture,
            changed: true,
        })
    }

    /// Begins anew.
    pub fn restart(&mut self) -> Result<(), Failure> {
        self.machines = self.plan.start()?;
        self.picture = blank(&mut self.machines)?;
        (self.cycles, self.status, self.fault) = (0, Status::Running, None);
        (self.fresh, self.yields, self.paused, self.changed) = (true, false, false, true);
        self.controls.forget();
        Ok(())
    }

    /// Stands still, or goes on if it does, after BRK too.
    pub fn pause(&mut self) -> Result<(), Failure> {
        if self.status == Status::Paused {
            self.machines.change(|_, state| state.resume())?;
            self.status = Status::Running;
        } else {
            self.paused = !self.paused;
        }
        Ok(())
    }

    /// Whether frames change anything.
    pub fn lives(&self) -> bool {
        let over = matches!(self.status, Status::Halted | Status::Faulted | Status::Paused);
        !self.paused && !over
    }

    /// Whether a frame has begun and is not done, though nothing is waited for.
    pub fn is_amid(&self) -> bool {
        self.status == Status::Running && !self.fresh
    }

    /// The file, and the fault that stopped its program, if one did.
    pub fn obituary(&self) -> Option<String> {
        self.fault.as_ref().map(|fault| format!("'{}': {fault}", self.file))
    }

    /// What it is and does, for the title of a window.
    pub fn title(&self) -> String {
        let state = match self.status {
            Status::Faulted => self.fault.as_deref().unwrap_or("fault").to_string(),
            status if self.paused && status != Status::Halted => Status::Paused.to_string(),
            Status::Yielded | Status::Full => Status::Running.to_string(),
            status => status.to_string(),
        };
        format!("{} ({state}) - gvpie", self.name)
    }

    /// Another frame for the same canvas.
    pub fn resize(&mut self, frame: UVec2) {
        self.camera = Camera::of_canvas(frame, self.canvas);
    }

    /// Where the canvas lies in the frame.
    pub fn camera(&self) -> &Camera {
        &self.camera
    }

    /// The last picture: of a frame that is done, or of the first as it grows.
    pub fn picture(&self) -> &[u32] {
        &self.picture
    }

    /// Whether the picture has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// A key that goes down and, at the end of the frame, up; and what it writes.
    pub fn press(&mut self, key: Key) {
        self.controls.key(key, true);
        self.controls.key(key, false);
        self.controls.type_key(key);
    }

    /// Goes on to the end of its frame, or to the bound. It begins a frame with this time if the last
    /// is done, and writes what it has to say to `out`.
    pub fn tick(&mut self, time: u32, bound: Bound, out: &mut dyn Write) -> Result<(), Failure> {
        if !self.lives() {
            return Ok(());
        }
        // Words of 32 bits do for a tick, whatever it does for a life.
        let most = match bound {
            Bound::Until(_) => u32::MAX,
            Bound::Cycles(most) => most,
        };
        let left = (self.limit - self.cycles).min(most.into()) as u32;
        let (fresh, controls) = (std::mem::take(&mut self.fresh), &mut self.controls);
        self.machines.change(|_, state| {
            if fresh || state.status() == Status::Yielded {
                state.frame(controls.inputs(time));
            }
            controls.feed(state);
            state.recount();
            state.limit(left);
        })?;
        while self.advance(out)? == Status::Running {
            if let Bound::Until(until) = bound
                && Instant::now() >= until
            {
                break;
            }
        }
        out.flush().or_else(closed)?;

        let state = &self.machines.states()?[0];
        self.status = state.status();
        self.cycles += u64::from(state.cycles());
        self.yields |= self.status == Status::Yielded;
        if let Some(fault) = state.fault() {
            self.fault = Some(told(fault, state.ip(), self.cycles));
        }
        // Half a picture is better than none, but no better than the one before.
        let done = self.status != Status::Running || !self.yields;
        if done && self.picture != state.canvas() {
            self.picture.copy_from_slice(state.canvas());
            self.changed = true;
        }
        Ok(())
    }

    /// A slice of the machine's life: a few milliseconds at most.
    fn advance(&mut self, out: &mut dyn Write) -> Result<Status, Failure> {
        self.machines.advance()?;
        let (mut said, mut status, controls) = (Vec::new(), self.status, &mut self.controls);
        self.machines.change(|_, state| {
            said = state.drain();
            controls.feed(state);
            status = state.status();
        })?;
        out.write_all(&said).or_else(closed)?;
        Ok(status)
    }
}

/// The canvas before the first instruction.
fn blank(machines: &mut Machines) -> Result<Vec<u32>, Failure> {
    Ok(machines.states()?[0].canvas().to_vec())
}

fn told(fault: Fault, ip: u32, cycles: u64) -> String {
    format!("fault {}, {fault}, at instruction {ip} after {cycles} cycles", fault as u32)
}

/// Nobody reads what it writes: no reason to stop.
fn closed(error: std::io::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => {
            let words = format!("cannot write to standard output: {error}");
            Err(Failure::new(words, "send it elsewhere"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::time;
    use gvpie_core::pixel::{Inputs, assemble};
    use std::time::Duration;

    fn player(text: &str) -> Player {
        let cartridge = Cartridge::new(assemble(text).unwrap());
        Player::new(cartridge, "a/b.pxl".into(), UVec2::new(256, 128)).unwrap()
    }

    const ENOUGH: Bound = Bound::Cycles(10_000_000);

    /// Ticks from a frame on: what was written.
    fn ticks(player: &mut Player, frames: std::ops::Range<u64>) -> String {
        let mut out = Vec::new();
        frames.for_each(|frame| player.tick(time(frame), ENOUGH, &mut out).unwrap());
        String::from_utf8(out).unwrap()
    }

    fn seen(player: &Player, pixel: usize) -> u32 {
        player.picture()[pixel] & 0xff_ffff
    }

    /// Shows keys, mouse, buttons, time and frames as colours of the first pixels.
    const PORTS: &str = "l: IN r1 18\nIN r2 8\nIN r3 9\nIN r4 10\nIN r5 1\nIN r6 7\n\
        SET r8 0\nSET r7 0\nPENR r1\nPLOT r7 r8\nADD r7 1\nPENR r2\nPLOT r7 r8\n\
        ADD r7 1\nPENR r3\nPLOT r7 r8\nADD r7 1\nPENR r4\nPLOT r7 r8\n\
        ADD r7 1\nPENR r5\nPLOT r7 r8\nADD r7 1\nPENR r6\nPLOT r7 r8\nYIELD\nJMP l";

    #[test]
    fn keys_mouse_time_and_frames_reach_the_program() {
        let mut player = player(PORTS);
        let row = |player: &Player| -> Vec<u32> { (0..6).map(|x| seen(player, x)).collect() };
        ticks(&mut player, 0..1);
        assert_eq!(row(&player), [0; 6]);
        player.controls.key(Key::Left, true);
        player.press(Key::Char(' '));
        player.controls.mouse = player.camera().pixel_at(glam::Vec2::new(21.0, 12.0));
        player.controls.button(4, true);
        ticks(&mut player, 1..2);
        assert_eq!(row(&player), [17, 10, 6, 4, 16, 1]);
        ticks(&mut player, 2..4);
        assert_eq!(row(&player), [1, 10, 6, 4, 50, 3]);
        player.restart().unwrap();
        assert_eq!(row(&player), [0; 6]);
        ticks(&mut player, 0..1);
        assert_eq!(row(&player), [1, 10, 6, 4, 0, 0]);
    }

    #[test]
    fn pictures_are_those_of_machines_run_directly() {
        for name in ["snake", "maze", "clock", "hello_world"] {
            let path = format!("{}/../assets/programs/{name}.pxl", env!("CARGO_MANIFEST_DIR"));
            let program = assemble(&std::fs::read_to_string(path).unwrap()).unwrap();
            let mut played =
                Player::new(Cartridge::new(program.clone()), name.into(), UVec2::ONE).unwrap();
            ticks(&mut played, 0..40);
            let plan = Pixel::new(program).plan(&Context::on(Backend::Cpu).unwrap()).unwrap();
            let mut machines = plan.start().unwrap();
            for frame in 0..40 {
                let inputs = Inputs { time: time(frame), ..Inputs::default() };
                machines.change(|_, state| state.frame(inputs)).unwrap();
                machines.run().unwrap();
            }
            let state = &machines.states().unwrap()[0];
            assert_eq!(
                (played.picture(), played.status),
                (state.canvas(), state.status()),
                "{name}"
            );
        }
    }

    #[test]
    fn a_frame_that_takes_long_is_cut_and_goes_on() {
        let long = "SET r1 300000\na: DJNZ r1 a\nPLOT 0 0\nYIELD\nSET r1 300000\n\
            PLOT 1 0\nb: DJNZ r1 b\nIN r2 1\nSEQ r2 50\nASSERT r2\nPLOT 2 0\nYIELD";
        let (mut cut, mut whole) = (player(long), player(long));
        let mut out = Vec::new();
        let now = Instant::now();
        let mut tick =
            |cut: &mut Player, time| cut.tick(time, Bound::Until(now), &mut out).unwrap();
        let mut slices = 0;
        assert!(!cut.is_amid());
        while slices == 0 || cut.is_amid() {
            tick(&mut cut, 0);
            slices += 1;
        }
        assert!(slices > 10, "{slices}");
        assert_eq!((seen(&cut, 0), cut.take_changed()), (0xff_ffff, true));
        // The next is begun at 50 ms, which stays its time; nothing of it is seen before it is done.
        tick(&mut cut, 50);
        assert_eq!((cut.is_amid(), seen(&cut, 1), cut.take_changed()), (true, 0, false));
        while cut.is_amid() {
            tick(&mut cut, 9999);
        }
        ticks(&mut whole, 0..1);
        whole.tick(50, ENOUGH, &mut Vec::new()).unwrap();
        assert_eq!((cut.picture(), cut.cycles), (whole.picture(), whole.cycles));
        assert_eq!((seen(&cut, 1), seen(&cut, 2)), (0xff_ffff, 0xff_ffff));

        // The first picture is seen as it grows, and what never ends holds nobody.
        let mut endless = player("a: RECT 0 0 128 64\nJMP a");
        let began = Instant::now();
        let until = Bound::Until(began + Duration::from_millis(5));
        endless.tick(0, until, &mut Vec::new()).unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
        assert_eq!((endless.status, seen(&endless, 0)), (Status::Running, 0xff_ffff));
        let mut spins = player("a: JMP a");
        spins.tick(0, Bound::Cycles(1000), &mut Vec::new()).unwrap();
        assert!(
            spins
                .fault
                .as_deref()
                .unwrap()
                .contains("fault 6, out of cycles, at instruction 0 after 1000")
        );
    }

    #[test]
    fn text_goes_in_and_out_and_is_waited_for() {
        let mut player =
            player("l: IN r1 17\nSLT r2 r1 0\nIF r2 e\nADD r1 1\nOUT 16 r1\nJMP l\ne: HALT");
        assert_eq!(ticks(&mut player, 0..2), "");
        assert!(player.title().contains("(input awaited)"), "{}", player.title());
        (0..400).for_each(|_| player.press(Key::Char('H')));
        assert_eq!(ticks(&mut player, 2..3), "I".repeat(400));
        assert_eq!(player.status, Status::Starved);
        player.controls.end();
        assert_eq!(ticks(&mut player, 3..4), "");
        assert_eq!((player.status, player.lives()), (Status::Halted, false));
        player.restart().unwrap();
        player.press(Key::Char('A'));
        assert_eq!(ticks(&mut player, 0..1), "B");
    }

    #[test]
    fn titles_tell_the_name_and_the_state() {
        let mut named = player(".meta id x\n.meta name Two\u{7}words\nYIELD\nBRK\nPLOT 0 0\nHALT");
        assert_eq!(named.title(), "Two words (running) - gvpie");
        ticks(&mut named, 0..1);
        assert_eq!(named.title(), "Two words (running) - gvpie");
        named.pause().unwrap();
        assert_eq!((named.title().as_str(), named.lives()), ("Two words (paused) - gvpie", false));
        named.pause().unwrap();
        ticks(&mut named, 1..5);
        assert_eq!((named.title().as_str(), seen(&named, 0)), ("Two words (paused) - gvpie", 0));
        named.pause().unwrap(); // BRK
        ticks(&mut named, 5..7);
        assert_eq!((named.title().as_str(), named.lives()), ("Two words (halted) - gvpie", false));
        assert_eq!(seen(&named, 0), 0xff_ffff);

        let mut wrong = player("NOP\nPLOT 0 0\nTRAP 3");
        ticks(&mut wrong, 0..3);
        let words = "fault 7, trap, at instruction 2 after 3 cycles";
        assert_eq!((wrong.fault.as_deref(), seen(&wrong, 0)), (Some(words), 0xff_ffff));
        assert_eq!(wrong.title(), format!("b.pxl ({words}) - gvpie"));
        assert_eq!(wrong.obituary().unwrap(), format!("'a/b.pxl': {words}"));
    }

    #[test]
    fn a_cartridge_s_limit_is_of_its_life() {
        let mut cartridge = Cartridge::new(assemble("l: YIELD\nJMP l").unwrap());
        cartridge.max_cycles = 10;
        let mut player = Player::new(cartridge, "a".into(), UVec2::ONE).unwrap();
        ticks(&mut player, 0..50);
        let words = player.fault.as_deref().unwrap();
        assert!(words.contains("fault 6") && words.contains("after 10 cycles"), "{words}");
    }
}
