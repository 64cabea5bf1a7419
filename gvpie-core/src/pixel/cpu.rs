//! The reference machine, on the host.

use super::draw::{Canvas, common, held, length};
use super::isa::{Instruction, code, half, wide};
use super::program::Program;
use super::state::{Fault, PORT_BYTES, Slice, State, Status, at, hash, is_strict, mixed, step};
use super::tables::{SINE, glyph};

/// What ends a slice within an instruction.
enum Stop {
    /// The instruction is done, and the machine waits.
    After(Status),
    /// It is not done and will be run again.
    Before(Status),
    Fault(Fault),
}

use Stop::{After, Before};

/// A machine on its way through a slice: what changes at nearly every instruction is held apart.
struct Core<'a> {
    program: &'a Program,
    strict: bool,
    r: [i32; 16],
    ip: u32,
    words: &'a mut [u32],
    canvas: Canvas<'a>,
    fuel: u32,
}

/// Runs a slice of a machine.
pub(super) fn run(program: &Program, state: &mut State, slice: Slice) {
    let place = |word: usize| state.words[word] as i32;
    let clip = [0, 1, 2, 3].map(|side| place(at::CLIP + side));
    let size = state.size.map(|extent| extent as i32);
    let mut core = Core {
        program,
        strict: is_strict(program.mode),
        r: std::array::from_fn(|register| place(at::REGISTERS + register)),
        ip: state.words[at::IP],
        words: &mut state.words,
        canvas: Canvas { pixels: &mut state.canvas, size, clip },
        fuel: 0,
    };
    core.slice(slice);
    let Core { r, ip, words, canvas, fuel, .. } = core;
    r.iter().enumerate().for_each(|(i, &value)| words[at::REGISTERS + i] = value as u32);
    canvas.clip.iter().enumerate().for_each(|(i, &side)| words[at::CLIP + i] = side as u32);
    words[at::IP] = ip;
    words[at::FUEL] = words[at::FUEL].wrapping_add(fuel);
}

impl Core<'_> {
    fn slice(&mut self, slice: Slice) {
        if self.words[at::STATUS] != Status::Running as u32 {
            return;
        }
        let mut cycles = self.words[at::CYCLES];
        let limit = self.words[at::LIMIT];
        let mut status = Status::Running;
        for _ in 0..slice.steps {
            if self.fuel >= slice.fuel {
                break;
            }
            let Some(&instruction) = self.program.code.get(self.ip as usize) else {
                status = Status::Halted;
                break;
            };
            if cycles >= limit {
                status = Status::Faulted;
                self.words[at::FAULT] = Fault::Timeout as u32;
                break;
            }
            let stop = self.execute(instruction);
            if let Err(Before(waits)) = stop {
                status = waits;
                break;
            }
            cycles = cycles.wrapping_add(1);
            self.fuel += 1;
            match stop {
                Ok(next) => self.ip = next,
                Err(After(reached)) => {
                    self.ip += u32::from(reached != Status::Halted);
                    status = reached;
                    break;
                }
                Err(Stop::Fault(fault)) => {
                    status = Status::Faulted;
                    self.words[at::FAULT] = fault as u32;
                    break;
                }
                Err(Before(_)) => {}
            }
        }
        self.words[at::CYCLES] = cycles;
        self.words[at::STATUS] = status as u32;
    }

    /// Runs an instruction and says where the next one is.
    #[inline]
    fn execute(&mut self, instruction: Instruction) -> Result<u32, Stop> {
        let [op, a, b, c, d, _] = instruction;
        let [ra, rb, rc, rd] = [a, b, c, d].map(|byte| usize::from(byte & 15));
        let next = self.ip + 1;
        let r = &mut self.r;
        match op {
            code::YIELD => return Err(After(Status::Yielded)),
            code::BRK => return Err(After(Status::Paused)),
            code::TRAP => return Err(Stop::Fault(Fault::Trap)),
            code::ASSERT if r[ra] == 0 => return Err(Stop::Fault(Fault::Assertion)),
            code::NOP | code::ASSERT => {}
            code::HALT => return Err(After(Status::Halted)),
            code::LDI => r[ra] = wide(instruction),
            code::LDH => r[ra] = (r[ra] as u32 & 0xffff | half(instruction) << 16) as i32,
            code::MOV => r[ra] = r[rb],
            code::LD => {
                let place = self.memory(rb, wide(instruction))?;
                self.r[ra] = self.words[place] as i32;
            }
            code::ST => {
                let place = self.memory(rb, wide(instruction))?;
                self.words[place] = self.r[ra] as u32;
            }
            code::LDB => {
                let place = (r[rb] as u32).wrapping_add(half(instruction));
                self.bytes(place, 1)?;
                self.r[ra] = i32::from(self.byte(place));
            }
            code::PUSH => {
                let word = r[ra] as u32;
                self.push(word)?;
            }
            code::POP => self.r[ra] = self.pop()? as i32,
            code::SEL => r[ra] = if r[rb] != 0 { r[rc] } else { r[rd] },
            code::SWAP => r.swap(ra, rb),
            code::ADD..=code::SEQ => {
                r[ra] = arithmetic(op - code::ADD, r[rb], r[rc], self.strict)?;
            }
            code::ADDI..=code::SEQI => {
                r[ra] = arithmetic(op - code::ADDI, r[rb], wide(instruction), self.strict)?;
            }
            code::NEG => r[ra] = r[rb].wrapping_neg(),
            code::ABS => r[ra] = r[rb].wrapping_abs(),
            code::NOT => r[ra] = !r[rb],
            code::CLZ => r[ra] = r[rb].leading_zeros() as i32,
            code::POPC => r[ra] = r[rb].count_ones() as i32,
            code::ISQRT => r[ra] = r[rb].max(0).isqrt(),
            code::SIN => r[ra] = sine(r[rb]),
            code::COS => r[ra] = sine(r[rb].wrapping_add(256)),
            code::HASH => r[ra] = hash(r[rb] as u32) as i32,
            code::RND => {
                let below = r[rb];
                let number = self.random();
                self.r[ra] = if below > 0 { (number % below as u32) as i32 } else { number as i32 };
            }
            code::SEED => self.words[at::RANDOM] = hash(r[ra] as u32),
            code::LERPC => r[ra] = blend(r[rb], r[rc], r[rd]),
            code::JMP => return self.to(half(instruction)),
            code::JZ if r[ra] == 0 => return self.to(half(instruction)),
            code::JNZ if r[ra] != 0 => return self.to(half(instruction)),
            code::JEQ if r[ra] == r[rb] => return self.to(half(instruction)),
            code::JNE if r[ra] != r[rb] => return self.to(half(instruction)),
            code::JLT if r[ra] < r[rb] => return self.to(half(instruction)),
            code::JGE if r[ra] >= r[rb] => return self.to(half(instruction)),
            code::JZ | code::JNZ | code::JEQ | code::JNE | code::JLT | code::JGE => {}
            code::DJNZ => {
                let left = r[ra].wrapping_sub(1);
                // A jump that faults has done nothing.
                let place = if left != 0 { self.to(half(instruction))? } else { next };
                self.r[ra] = left;
                return Ok(place);
            }
            code::CALL => {
                let place = self.to(half(instruction))?;
                self.push(next)?;
                return Ok(place);
            }
            code::RET => {
                let top = self.top()?;
                let place = self.to(self.words[at::STACK + top as usize])?;
                self.words[at::DEPTH] = top;
                return Ok(place);
            }
            code::JR => return self.to(self.r[ra] as u32),
            code::CLS..=code::SCROLL => self.colours(instruction),
            code::PLOT..=code::SPR | code::PLOTR..=code::BLIT => self.draw(instruction)?,
            code::GETP => {
                let at = [r[rb], r[rc]];
                let [x, y] = self.placed(at);
                self.r[ra] = self.canvas.get(x, y).map_or(-1, |colour| colour as i32);
            }
            code::HIST => {
                let colour = r[rb] as u32 & 0xff_ffff;
                let same = self.canvas.pixels.iter().filter(|&&pixel| pixel & 0xff_ffff == colour);
                self.r[ra] = same.count() as i32;
                self.pay(self.canvas.pixels.len() as u32);
            }
            code::IN => self.r[ra] = self.read(b)?,
            code::OUT => self.write(b, a)?,
            _ if self.strict => return Err(Stop::Fault(Fault::Operation)),
            _ => {}
        }
        Ok(next)
    }

    /// What drawing so many pixels costs besides the instruction.
    fn pay(&mut self, pixels: u32) {
        self.fuel += pixels.div_ceil(64);
    }

    /// Where a word of the memory stands.
    fn memory(&self, register: usize, offset: i32) -> Result<usize, Stop> {
        let place = self.r[register].wrapping_add(offset) as u32;
        if self.strict && place > 255 {
            return Err(Stop::Fault(Fault::Bounds));
        }
        Ok(at::MEMORY + (place & 255) as usize)
    }

    /// Whether bytes of the data are there.
    fn bytes(&self, from: u32, many: u32) -> Result<(), Stop> {
        let held = self.program.data.len() as u32;
        if self.strict && from.checked_add(many).is_none_or(|end| end > held) {
            return Err(Stop::Fault(Fault::Bounds));
        }
        Ok(())
    }

    /// A byte of the data, which goes round; 0 where there are none.
    fn byte(&self, place: u32) -> u8 {
        let data = &self.program.data;
        if data.is_empty() { 0 } else { data[place as usize % data.len()] }
    }

    /// An instruction's place; the first after the program ends it.
    fn to(&self, place: u32) -> Result<u32, Stop> {
        let held = self.program.code.len() as u32;
        match self.strict {
            true if place > held => Err(Stop::Fault(Fault::Bounds)),
            true => Ok(place),
            false => Ok(place % held),
        }
    }

    fn push(&mut self, word: u32) -> Result<(), Stop> {
        let depth = self.words[at::DEPTH];
        if self.strict && depth > 31 {
            return Err(Stop::Fault(Fault::Overflow));
        }
        self.words[at::STACK + (depth & 31) as usize] = word;
        self.words[at::DEPTH] = if self.strict { depth + 1 } else { (depth + 1) & 31 };
        Ok(())
    }

    /// The place of the word on top of the stack.
    fn top(&self) -> Result<u32, Stop> {
        let depth = self.words[at::DEPTH];
        if self.strict && depth == 0 {
            return Err(Stop::Fault(Fault::Underflow));
        }
        Ok(depth.wrapping_sub(1) & 31)
    }

    fn pop(&mut self) -> Result<u32, Stop> {
        let top = self.top()?;
        self.words[at::DEPTH] = top;
        Ok(self.words[at::STACK + top as usize])
    }

    fn random(&mut self) -> u32 {
        let state = self.words[at::RANDOM];
        self.words[at::RANDOM] = step(state);
        mixed(state)
    }

    fn placed(&self, [x, y]: [i32; 2]) -> [i32; 2] {
        let origin = |axis: usize| self.words[at::ORIGIN + axis] as i32;
        [held(x, origin(0)), held(y, origin(1))]
    }

    /// Opaque.
    fn colour(&self, place: usize) -> u32 {
        self.words[place] | 0xff00_0000
    }

    /// CLS to SCROLL.
    fn colours(&mut self, instruction: Instruction) {
        let [op, a, b, c, d, _] = instruction;
        let (first, second) = (self.r[usize::from(a & 15)], self.r[usize::from(b & 15)]);
        let whole = self.canvas.whole();
        match op {
            code::CLS => {
                let paper = self.colour(at::PAPER);
                let pixels = self.canvas.fill_whole(whole, paper);
                self.pay(pixels);
            }
            code::PEN => self.words[at::PEN] = wide(instruction) as u32 & 0xff_ffff,
            code::PAPER => self.words[at::PAPER] = wide(instruction) as u32 & 0xff_ffff,
            code::PENR => self.words[at::PEN] = first as u32 & 0xff_ffff,
            code::PAPERR => self.words[at::PAPER] = first as u32 & 0xff_ffff,
            code::CLIP if c == 0 && d == 0 => self.canvas.clip = whole,
            code::CLIP => {
                let [x, y, w, h] = [a, b, c, d].map(i32::from);
                let [width, height] = self.canvas.size;
                self.canvas.clip =
                    [x.min(width), y.min(height), (x + w).min(width), (y + h).min(height)];
            }
            code::ORIGIN => {
                self.words[at::ORIGIN] = first as u32;
                self.words[at::ORIGIN + 1] = second as u32;
            }
            _ => self.scroll([held(first, 0), held(second, 0)]),
        }
    }

    fn scroll(&mut self, [dx, dy]: [i32; 2]) {
        let paper = self.colour(at::PAPER);
        let [width, height] = self.canvas.size;
        let into = common([dx, dy, width + dx, height + dy], self.canvas.whole());
        self.canvas.copy(into, [dx, dy]);
        let bare = [
            [0, 0, width, dy.min(height)],
            [0, (height + dy).max(0), width, height],
            [0, 0, dx.min(width), height],
            [(width + dx).max(0), 0, width, height],
        ];
        bare.into_iter().for_each(|area| {
            self.canvas.fill_whole(area, paper);
        });
        self.pay(self.canvas.pixels.len() as u32);
    }

    /// PLOT to BLIT, in either form.
    fn draw(&mut self, instruction: Instruction) -> Result<(), Stop> {
        let [op, a, b, c, d, e] = instruction;
        let immediate = op < code::PLOTR;
        let value = |byte: u8| {
            if immediate { i32::from(byte) } else { self.r[usize::from(byte & 15)] }
        };
        let [x, y] = self.placed([value(a), value(b)]);
        let (third, fourth) = (value(c), value(d));
        let pen = self.colour(at::PEN);
        let kind = if immediate { op } else { op - code::PLOTR + code::PLOT };
        let pixels = match kind {
            code::PLOT => {
                self.canvas.plot(x, y, pen);
                1
            }
            code::LINE => {
                let end = self.placed([third, fourth]);
                self.canvas.line([x, y], end, pen)
            }
            code::RECT => self.canvas.fill([x, y, x + length(third), y + length(fourth)], pen),
            code::FRAME => self.canvas.frame([x, y], [length(third), length(fourth)], pen),
            code::CIRCLE => self.canvas.round([x, y], length(third), true, pen),
            code::DISC => self.canvas.round([x, y], length(third), false, pen),
            code::TXT => {
                let (from, many) = match immediate {
                    true => (half(instruction), u32::from(e)),
                    false => (third as u32, fourth.clamp(0, 255) as u32),
                };
                self.bytes(from, many)?;
                self.text([x, y], from, many, pen);
                35 * many
            }
            code::CHR => {
                self.character([x, y], third as u8, pen);
                35
            }
            code::SPR => {
                let (from, how) = match immediate {
                    true => (half(instruction), u32::from(e)),
                    false => (third as u32, fourth as u32),
                };
                self.bytes(from, 8)?;
                self.sprite([x, y], from, how, pen);
                64
            }
            _ => self.blit(usize::from(a & 15)),
        };
        self.pay(pixels);
        Ok(())
    }

    fn character(&mut self, [x, y]: [i32; 2], byte: u8, colour: u32) {
        let bits = glyph(byte);
        for i in 0..35 {
            // Of five columns the leftmost is the highest bit.
            if bits >> (i / 5 * 5 + 4 - i % 5) & 1 == 1 {
                self.canvas.plot(x + i % 5, y + i / 5, colour);
            }
        }
    }

    fn text(&mut self, [left, y]: [i32; 2], from: u32, many: u32, colour: u32) {
        if self.program.data.is_empty() {
            return;
        }
        let mut place = [left, y];
        for i in 0..many {
            match self.byte(from.wrapping_add(i)) {
                10 => place = [left, place[1] + 8],
                byte => {
                    self.character(place, byte, colour);
                    place[0] += 6;
                }
            }
        }
    }

    fn sprite(&mut self, [x, y]: [i32; 2], from: u32, how: u32, pen: u32) {
        let paper = self.colour(at::PAPER);
        for i in 0..64 {
            let (column, row) = (i % 8, i / 8);
            let bits = self.byte(from.wrapping_add(row as u32));
            let set = bits >> (7 - column) & 1 == 1;
            let to_x = if how & 1 == 1 { 7 - column } else { column };
            let to_y = if how & 2 == 2 { 7 - row } else { row };
            if set || how & 4 == 4 {
                self.canvas.plot(x + to_x, y + to_y, if set { pen } else { paper });
            }
        }
    }

    fn blit(&mut self, register: usize) -> u32 {
        let value = |i: usize| self.r[(register + i) & 15];
        let [sx, sy] = self.placed([value(0), value(1)]);
        let [x, y] = self.placed([value(2), value(3)]);
        let (w, h) = (length(value(4)), length(value(5)));
        let moved = [x - sx, y - sy];
        let [width, height] = self.canvas.size;
        // Where the canvas would come to lie.
        let lent = [moved[0], moved[1], width + moved[0], height + moved[1]];
        let into = common(common([x, y, x + w, y + h], lent), self.canvas.clip);
        self.canvas.copy(into, moved)
    }

    fn read(&mut self, port: u8) -> Result<i32, Stop> {
        let word = |place: usize| self.words[place];
        Ok(match port {
            0x01 => word(at::TIME),
            0x02 => self.random(),
            0x03 => word(at::LANE),
            0x04 => word(at::LANES),
            0x05 => self.canvas.size[0] as u32,
            0x06 => self.canvas.size[1] as u32,
            0x07 => word(at::FRAME),
            0x08..=0x0a => word(at::MOUSE + usize::from(port - 8)),
            0x11 => {
                let read = word(at::INPUT_READ);
                if read < word(at::INPUT_HELD) {
                    self.words[at::INPUT_READ] = read + 1;
                    self.words[at::INPUT + read as usize / 4] >> (8 * (read % 4)) & 255
                } else if word(at::INPUT_MORE) != 0 {
                    return Err(Before(Status::Starved));
                } else {
                    u32::MAX
                }
            }
            0x12 => word(at::KEYS),
            _ if self.strict => return Err(Stop::Fault(Fault::Bounds)),
            _ => 0,
        } as i32)
    }

    fn write(&mut self, port: u8, register: u8) -> Result<(), Stop> {
        if port != 0x10 {
            return if self.strict { Err(Stop::Fault(Fault::Bounds)) } else { Ok(()) };
        }
        let held = self.words[at::OUTPUT_HELD];
        if held as usize >= PORT_BYTES {
            return Err(Before(Status::Full));
        }
        let byte = self.r[usize::from(register & 15)] as u32 & 255;
        self.words[at::OUTPUT + held as usize / 4] |= byte << (8 * (held % 4));
        self.words[at::OUTPUT_HELD] = held + 1;
        Ok(())
    }
}

/// ADD to SEQ, by their place.
#[inline]
fn arithmetic(which: u8, b: i32, c: i32, strict: bool) -> Result<i32, Stop> {
    if c == 0 && strict && (which == code::DIV - code::ADD || which == code::MOD - code::ADD) {
        return Err(Stop::Fault(Fault::Division));
    }
    let shift = c as u32 & 31;
    Ok(match which {
        0 => b.wrapping_add(c),
        1 => b.wrapping_sub(c),
        2 => b.wrapping_mul(c),
        3 if c == 0 => b,
        3 => b.wrapping_div(c),
        4 if c == 0 => 0,
        4 => b.wrapping_rem(c),
        5 => b & c,
        6 => b | c,
        7 => b ^ c,
        8 => b << shift,
        9 => (b as u32 >> shift) as i32,
        10 => b >> shift,
        11 => b.min(c),
        12 => b.max(c),
        13 => ((i64::from(b) * i64::from(c)) >> 16) as i32,
        14 => i32::from(b < c),
        _ => i32::from(b == c),
    })
}

fn sine(angle: i32) -> i32 {
    let (quadrant, i) = (angle >> 8 & 3, (angle & 255) as usize);
    match quadrant {
        0 => SINE[i],
        1 => SINE[256 - i],
        2 => -SINE[i],
        _ => -SINE[256 - i],
    }
}

/// The colour between two, channel by channel, rounded to the nearest.
fn blend(from: i32, to: i32, at: i32) -> i32 {
    let share = at.clamp(0, 255);
    (0..3).fold(0, |colour, channel| {
        let part = |value: i32| value >> (8 * channel) & 255;
        let mixed = (part(from) * (255 - share) + part(to) * share + 127) / 255;
        colour | mixed << (8 * channel)
    })
}
