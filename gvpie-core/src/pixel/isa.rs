//! The one table of operations.
//!
//! Decoder, assembler, disassembler, the constants of the shaders and the reference page follow from
//! it. An instruction is six bytes: the operation and five bytes of operands a to e; as pixels
//! (op, a, b, 255) and (c, d, e, 255).

use std::sync::LazyLock;

/// An instruction: its operation, then the operand bytes a to e.
pub type Instruction = [u8; 6];

/// What an operand is, and in which bytes it stands: 1 is a, 5 is e.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// A register, `r0` to `r15`.
    Register(usize),
    /// A number from 0 to 255.
    Byte(usize),
    /// A number from 0 to 65,535 in c and d.
    Half,
    /// A number from −8,388,608 to 8,388,607 in c, d and e.
    Wide,
    /// The place of an instruction, in c and d.
    To,
    /// A place in the data, in c and d.
    Data,
    /// A colour, red in c, green in d, blue in e.
    Colour,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The first byte of its instructions.
    pub code: u8,
    /// What it is written as; the register form and the immediate one share it.
    pub name: &'static str,
    /// What it is called where each row needs a name of its own, as in shaders.
    pub key: &'static str,
    /// Its operands, in the order they are written.
    pub operands: &'static [Operand],
    /// What it does, a to e being the operands' values in the order they are written.
    pub about: &'static str,
}

impl Operation {
    /// How it is written: its name, and a letter for each operand, `r` before those that are
    /// registers.
    ///
    /// ```
    /// use gvpie_core::pixel::isa::{code, operation};
    /// assert_eq!(operation(code::ADDI).unwrap().usage(), "ADD ra rb c");
    /// ```
    pub fn usage(&self) -> String {
        let letter = |(operand, letter): (&Operand, char)| match operand {
            Operand::Register(_) => format!(" r{letter}"),
            _ => format!(" {letter}"),
        };
        let operands: String = self.operands.iter().zip('a'..).map(letter).collect();
        self.name.to_string() + &operands
    }
}

use Operand::{Byte, Colour, Data, Half, Register, To, Wide};

const NONE: &[Operand] = &[];
const R: &[Operand] = &[Register(1)];
const RR: &[Operand] = &[Register(1), Register(2)];
const RRR: &[Operand] = &[Register(1), Register(2), Register(3)];
const RRRR: &[Operand] = &[Register(1), Register(2), Register(3), Register(4)];
const RRW: &[Operand] = &[Register(1), Register(2), Wide];
const RTO: &[Operand] = &[Register(1), To];
const RRTO: &[Operand] = &[Register(1), Register(2), To];
const BB: &[Operand] = &[Byte(1), Byte(2)];
const BBB: &[Operand] = &[Byte(1), Byte(2), Byte(3)];
const BBBB: &[Operand] = &[Byte(1), Byte(2), Byte(3), Byte(4)];
const DRAWN: &[Operand] = &[Byte(1), Byte(2), Data, Byte(5)];

macro_rules! operations {
    ($($code:literal $key:ident $name:literal $operands:expr, $about:literal;)*) => {
        /// Every operation, by code.
        pub const OPERATIONS: &[Operation] = &[$(Operation {
            code: $code,
            name: $name,
            key: stringify!($key),
            operands: $operands,
            about: $about,
        }),*];

        /// The codes by name.
        #[allow(missing_docs)] // each is said in its row
        pub mod code {
            $(pub const $key: u8 = $code;)*
        }
    };
}

operations! {
    0x00 NOP "NOP" NONE, "Nothing.";
    0x01 YIELD "YIELD" NONE, "The picture is done: waits for the next frame.";
    0x02 BRK "BRK" NONE, "Stops so that the state can be looked at; goes on when asked to.";
    0x03 TRAP "TRAP" &[Half], "Stops for good with fault 7.";
    0x04 ASSERT "ASSERT" R, "Stops for good with fault 8 if a is 0.";
    0x10 LDI "LDI" &[Register(1), Wide], "a = b.";
    0x11 LDH "LDH" &[Register(1), Half], "The upper 16 bits of a = b; the lower ones stay.";
    0x12 MOV "MOV" RR, "a = b.";
    0x13 LD "LD" RRW, "a = word b + c of the memory, of 256.";
    0x14 ST "ST" RRW, "Word b + c of the memory = a.";
    0x15 LDB "LDB" &[Register(1), Register(2), Data], "a = byte b + c of the data.";
    0x16 PUSH "PUSH" R, "Puts a on the stack, which holds 32 words.";
    0x17 POP "POP" R, "a = the top of the stack, which is taken off.";
    0x18 SEL "SEL" RRRR, "a = c if b is not 0, else d.";
    0x19 SWAP "SWAP" RR, "a and b change places.";
    0x20 ADD "ADD" RRR, "a = b + c.";
    0x21 SUB "SUB" RRR, "a = b - c.";
    0x22 MUL "MUL" RRR, "a = b c, its lower 32 bits.";
    0x23 DIV "DIV" RRR, "a = b / c, towards 0; b if c is 0 (strict: fault 5).";
    0x24 MOD "MOD" RRR, "a = b - c (b / c), of b's sign; 0 if c is 0 (strict: fault 5).";
    0x25 AND "AND" RRR, "a = b and c, bit by bit.";
    0x26 OR "OR" RRR, "a = b or c, bit by bit.";
    0x27 XOR "XOR" RRR, "a = b or else c, bit by bit.";
    0x28 SHL "SHL" RRR, "a = b shifted left by c mod 32.";
    0x29 SHR "SHR" RRR, "a = b shifted right by c mod 32, zeros coming in.";
    0x2a SAR "SAR" RRR, "a = b shifted right by c mod 32, b's sign coming in.";
    0x2b MIN "MIN" RRR, "a = the smaller of b and c.";
    0x2c MAX "MAX" RRR, "a = the larger of b and c.";
    0x2d MULQ "MULQ" RRR, "a = b c / 65536, rounded down: the product of numbers with 16 bits after the point.";
    0x2e SLT "SLT" RRR, "a = 1 if b < c, else 0.";
    0x2f SEQ "SEQ" RRR, "a = 1 if b = c, else 0.";
    0x30 ADDI "ADD" RRW, "a = b + c.";
    0x31 SUBI "SUB" RRW, "a = b - c.";
    0x32 MULI "MUL" RRW, "a = b c, its lower 32 bits.";
    0x33 DIVI "DIV" RRW, "a = b / c, towards 0; b if c is 0 (strict: fault 5).";
    0x34 MODI "MOD" RRW, "a = b - c (b / c), of b's sign; 0 if c is 0 (strict: fault 5).";
    0x35 ANDI "AND" RRW, "a = b and c, bit by bit.";
    0x36 ORI "OR" RRW, "a = b or c, bit by bit.";
    0x37 XORI "XOR" RRW, "a = b or else c, bit by bit.";
    0x38 SHLI "SHL" RRW, "a = b shifted left by c mod 32.";
    0x39 SHRI "SHR" RRW, "a = b shifted right by c mod 32, zeros coming in.";
    0x3a SARI "SAR" RRW, "a = b shifted right by c mod 32, b's sign coming in.";
    0x3b MINI "MIN" RRW, "a = the smaller of b and c.";
    0x3c MAXI "MAX" RRW, "a = the larger of b and c.";
    0x3d MULQI "MULQ" RRW, "a = b c / 65536, rounded down: the product of numbers with 16 bits after the point.";
    0x3e SLTI "SLT" RRW, "a = 1 if b < c, else 0.";
    0x3f SEQI "SEQ" RRW, "a = 1 if b = c, else 0.";
    0x40 NEG "NEG" RR, "a = -b.";
    0x41 ABS "ABS" RR, "a = b without its sign.";
    0x42 NOT "NOT" RR, "a = b, each bit turned.";
    0x43 CLZ "CLZ" RR, "a = how many zeros are before b's first 1, of 32 bits.";
    0x44 POPC "POPC" RR, "a = how many bits of b are 1.";
    0x45 ISQRT "ISQRT" RR, "a = the root of b rounded down; 0 if b is negative.";
    0x46 SIN "SIN" RR, "a = 65536 times the sine of b, 1024 being a turn.";
    0x47 COS "COS" RR, "a = 65536 times the cosine of b, 1024 being a turn.";
    0x48 HASH "HASH" RR, "a = b's bits well mixed.";
    0x49 RND "RND" RR, "a = a random number from 0 to b - 1; all 32 bits of it if b is not above 0.";
    0x4a SEED "SEED" R, "Random numbers follow from a.";
    0x4b LERPC "LERPC" RRRR, "a = the colour between b (at d = 0) and c (at d = 255).";
    0x50 JMP "JMP" &[To], "Goes to a.";
    0x51 JZ "JZ" RTO, "Goes to b if a is 0.";
    0x52 JNZ "JNZ" RTO, "Goes to b if a is not 0.";
    0x53 JEQ "JEQ" RRTO, "Goes to c if a = b.";
    0x54 JNE "JNE" RRTO, "Goes to c if a is not b.";
    0x55 JLT "JLT" RRTO, "Goes to c if a < b.";
    0x56 JGE "JGE" RRTO, "Goes to c if a is b or more.";
    0x57 DJNZ "DJNZ" RTO, "Takes 1 from a and goes to b if a is not 0 then.";
    0x58 CALL "CALL" &[To], "Puts the next instruction's place on the stack and goes to a.";
    0x59 RET "RET" NONE, "Goes to the place on top of the stack, which is taken off.";
    0x5a JR "JR" R, "Goes to the instruction whose place is in a.";
    0x60 CLS "CLS" NONE, "Fills the canvas with the paper's colour, whatever the clip.";
    0x61 PEN "PEN" &[Colour], "Draws in this colour from here on.";
    0x62 PAPER "PAPER" &[Colour], "The colour of CLS and of what SCROLL lays bare.";
    0x63 PENR "PENR" R, "PEN of the colour in a: red + 256 green + 65536 blue.";
    0x64 PAPERR "PAPERR" R, "PAPER of the colour in a.";
    0x65 CLIP "CLIP" BBBB, "Draws only from (a, b) on, c wide and d high, whatever the origin; if both are 0, everywhere.";
    0x66 ORIGIN "ORIGIN" RR, "Coordinates count from (a, b) on.";
    0x67 SCROLL "SCROLL" RR, "Moves the whole picture by a to the right and b down; paper comes in.";
    0x70 PLOT "PLOT" BB, "The pixel at (a, b).";
    0x71 LINE "LINE" BBBB, "A line from (a, b) to (c, d), both ends included.";
    0x72 RECT "RECT" BBBB, "A full rectangle from (a, b) on, c wide and d high.";
    0x73 FRAME "FRAME" BBBB, "The outermost pixels of that rectangle.";
    0x74 CIRCLE "CIRCLE" BBB, "The circle around (a, b), c its radius.";
    0x75 DISC "DISC" BBB, "The full circle around (a, b), c its radius.";
    0x76 TXT "TXT" DRAWN, "Text from (a, b) on: d bytes of the data from c on, 6 pixels each; byte 10 begins a line 8 below.";
    0x77 CHR "CHR" BBB, "The glyph of byte c at (a, b), 5 wide and 7 high.";
    0x78 SPR "SPR" DRAWN, "8 bytes of the data from c on as 8 rows of 8 pixels, the highest bit leftmost; d: 1 turns left and right about, 2 above and below, 4 draws zeros in the paper's colour.";
    0x80 PLOTR "PLOT" RR, "The pixel at (a, b).";
    0x81 LINER "LINE" RRRR, "A line from (a, b) to (c, d), both ends included.";
    0x82 RECTR "RECT" RRRR, "A full rectangle from (a, b) on, c wide and d high.";
    0x83 FRAMER "FRAME" RRRR, "The outermost pixels of that rectangle.";
    0x84 CIRCLER "CIRCLE" RRR, "The circle around (a, b), c its radius.";
    0x85 DISCR "DISC" RRR, "The full circle around (a, b), c its radius.";
    0x86 TXTR "TXT" RRRR, "Text from (a, b) on: d bytes (255 at most) of the data from c on.";
    0x87 CHRR "CHR" RRR, "The glyph of byte c at (a, b).";
    0x88 SPRR "SPR" RRRR, "8 bytes of the data from c on as 8 rows of 8 pixels; d as above.";
    0x89 BLIT "BLIT" R, "Copies pixels: from (v0, v1) to (v2, v3), v4 wide and v5 high, of the registers from a on.";
    0x90 GETP "GETP" RRR, "a = the colour at (b, c); -1 outside of the canvas.";
    0x91 HIST "HIST" RR, "a = how many pixels of the canvas have the colour in b.";
    0x98 IN "IN" &[Register(1), Byte(2)], "a = what is at port b.";
    0x99 OUT "OUT" &[Byte(2), Register(1)], "Gives b to port a.";
    0xff HALT "HALT" NONE, "Stops for good.";
}

/// A port, and what is there.
pub const PORTS: &[(u8, &str, &str)] = &[
    (0x01, "in", "milliseconds since the program began, as of this frame"),
    (0x02, "in", "a random number of 32 bits"),
    (0x03, "in", "the number of this machine among those that run together"),
    (0x04, "in", "how many run together"),
    (0x05, "in", "width of the canvas"),
    (0x06, "in", "height of the canvas"),
    (0x07, "in", "frames that have been shown"),
    (0x08, "in", "the mouse, pixels from the left"),
    (0x09, "in", "the mouse, pixels from the top"),
    (0x0a, "in", "its buttons: 1 left, 2 right, 4 middle"),
    (0x10, "out", "writes a byte to the output"),
    (0x11, "in", "the next byte of the input; -1 after the last"),
    (0x12, "in", "keys that are down: 1 left, 2 right, 4 up, 8 down, 16 space, 32 enter"),
];

/// The operation of a code.
pub fn operation(code: u8) -> Option<&'static Operation> {
    static BY_CODE: LazyLock<[Option<&Operation>; 256]> = LazyLock::new(|| {
        let mut table = [None; 256];
        OPERATIONS
            .iter()
            .for_each(|operation| table[usize::from(operation.code)] = Some(operation));
        table
    });
    BY_CODE[usize::from(code)]
}

/// An instruction as two pixels, red lowest.
pub fn pixels([op, a, b, c, d, e]: Instruction) -> [u32; 2] {
    [u32::from_le_bytes([op, a, b, 255]), u32::from_le_bytes([c, d, e, 255])]
}

/// The instruction of two pixels, whatever their alpha.
pub fn instruction([first, second]: [u32; 2]) -> Instruction {
    let [op, a, b, _] = first.to_le_bytes();
    let [c, d, e, _] = second.to_le_bytes();
    [op, a, b, c, d, e]
}

/// c + 256 d.
pub fn half(instruction: Instruction) -> u32 {
    u32::from(u16::from_le_bytes([instruction[3], instruction[4]]))
}

/// c + 256 d + 65536 e, of 24 bits with a sign.
pub fn wide(instruction: Instruction) -> i32 {
    let [_, _, _, c, d, e] = instruction;
    i32::from_le_bytes([0, c, d, e]) >> 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart_and_ascend() {
        assert!(OPERATIONS.windows(2).all(|pair| pair[0].code < pair[1].code));
        for (at, operation) in OPERATIONS.iter().enumerate() {
            let same = |other: &&Operation| other.key == operation.key;
            assert_eq!(OPERATIONS.iter().filter(same).count(), 1, "{}", operation.key);
            // Forms of one name differ in how many operands or in what kinds.
            for other in &OPERATIONS[at + 1..] {
                assert!(other.name != operation.name || other.operands != operation.operands);
            }
        }
    }

    #[test]
    fn instructions_come_back_from_pixels() {
        let bytes = [0x34, 1, 2, 0xfe, 0xff, 0xff];
        assert_eq!(instruction(pixels(bytes)), bytes);
        assert!(pixels(bytes).iter().all(|pixel| pixel >> 24 == 255));
        assert_eq!(wide(bytes), -2);
        assert_eq!(half(bytes), 0xfffe);
    }
}
