//! The language by examples, what is wrong with wrong texts, and the way there and back.

use super::*;
use crate::pixel::{disassemble, isa};
use isa::Operand;
use proptest::prelude::*;

#[track_caller]
fn code_of(text: &str) -> Vec<Instruction> {
    match assemble(text) {
        Ok(program) => program.code,
        Err(faults) => panic!("{text}\n{}", faults[0].render(text, "test")),
    }
}

/// One line, without the HALT.
#[track_caller]
fn line(text: &str) -> Vec<Instruction> {
    let mut code = code_of(text);
    assert_eq!(code.pop(), Some([0xff, 0, 0, 0, 0, 0]));
    code
}

#[track_caller]
fn same(program: &Program) {
    let text = disassemble(program);
    match assemble(&text) {
        Ok(again) => assert_eq!(&again, program, "{text}"),
        Err(faults) => panic!("{text}\n{}", faults[0].render(&text, "test")),
    }
}

#[test]
fn every_operation_is_written_in_every_form() {
    for operation in isa::OPERATIONS {
        let mut instruction = [operation.code, 0, 0, 0, 0, 0];
        let mut text = operation.name.to_ascii_lowercase();
        for (at, operand) in operation.operands.iter().enumerate() {
            let number = 3 + at as u8;
            text += &match *operand {
                Operand::Register(byte) => {
                    instruction[byte] = number;
                    format!(" R{number}")
                }
                Operand::Byte(byte) => {
                    instruction[byte] = 200 + number;
                    format!(", {}", 200 + u32::from(number))
                }
                Operand::Half => {
                    instruction[3..5].fill(0xfe);
                    " 0xfefe".into()
                }
                Operand::Wide => {
                    instruction[3..6].copy_from_slice(&[0xfe, 0xff, 0xff]);
                    " -2".into()
                }
                Operand::To => {
                    instruction[3] = 1;
                    " there".into()
                }
                Operand::Data => {
                    instruction[3] = 2;
                    " @piece".into()
                }
                Operand::Colour => {
                    instruction[3..6].copy_from_slice(&[1, 2, 0xff]);
                    " #0102FF".into()
                }
            };
        }
        let text = format!("{text}\nthere: HALT\n.data 1 2\npiece: .data 3\n");
        assert_eq!(code_of(&text), [instruction, [0xff, 0, 0, 0, 0, 0]], "{text}");
        same(&assemble(&text).unwrap());
    }
}

#[test]
fn operands_choose_the_form() {
    assert_eq!(line("ADD r1 r2 r3"), [[0x20, 1, 2, 3, 0, 0]]);
    assert_eq!(line("ADD r1 r2 5"), [[0x30, 1, 2, 5, 0, 0]]);
    assert_eq!(line("add r1, 5"), [[0x30, 1, 1, 5, 0, 0]]);
    assert_eq!(line("Mulq r1 r2"), [[0x2d, 1, 1, 2, 0, 0]]);
    assert_eq!(line("RECT 1 2 3 4"), [[0x72, 1, 2, 3, 4, 0]]);
    assert_eq!(line("RECT r1 r2 r3 r4"), [[0x82, 1, 2, 3, 4, 0]]);
    let pen = [0x61, 0, 0, 0xff, 0x80, 0];
    assert_eq!(line("RECT 1 2 3 4 #ff8000"), [pen, [0x72, 1, 2, 3, 4, 0]]);
    assert_eq!(line("PLOT r1 r2 #ff8000"), [pen, [0x80, 1, 2, 0, 0, 0]]);
    assert_eq!(line("TXT 1 2 \"a\" #ff8000"), [pen, [0x76, 1, 2, 0, 0, 1]]);
    assert_eq!(line("PEN 0x80ff"), [pen]);
    assert_eq!(line("CHR 1 2 'é'"), [[0x77, 1, 2, 0xe9, 0, 0]]);
    assert_eq!(line("CHR r1 r2 r3"), [[0x87, 1, 2, 3, 0, 0]]);
    assert_eq!(line("TXT r1 r2 r3 r4"), [[0x86, 1, 2, 3, 4, 0]]);
    assert_eq!(line("IN r3 0x12"), [[0x98, 3, 0x12, 0, 0, 0]]);
    assert_eq!(line("OUT 16, r3"), [[0x99, 3, 16, 0, 0, 0]]);
    assert_eq!(line("a: IF r1 a"), [[0x52, 1, 0, 0, 0, 0]]);
}

#[test]
fn set_takes_any_number_of_32_bits() {
    assert_eq!(line("SET r1 -8388608"), [[0x10, 1, 0, 0, 0, 0x80]]);
    assert_eq!(line("SET r1 #ffffff").len(), 2);
    for number in [i32::MIN, -8_388_609, 8_388_608, 0x1234_5678, i32::MAX] {
        let code = line(&format!("SET r7 {number}"));
        let [low, high] = code[..] else { panic!("{code:?}") };
        assert_eq!((low[0], low[1], high[0], high[1]), (0x10, 7, 0x11, 7));
        assert_eq!(isa::half(high) << 16 | isa::wide(low) as u32 & 0xffff, number as u32);
    }
    assert_eq!(line("SET r1 0xffffffff"), [[0x10, 1, 0, 255, 255, 0], [0x11, 1, 0, 255, 255, 0]]);
    // The size does not depend on where labels are.
    assert_eq!(line("SET r1 end-start\nstart: NOP\nend:")[0], [0x10, 1, 0, 1, 0, 0]);
}

#[test]
fn texts_go_behind_the_data_once() {
    let program = assemble(
        "TXT 0 0 Hello, it's \"me\" ; not this\nTXT 0 8 \"two\\nlines\"\n.data 1 2\nTXT 0 16 two\n\
         TXT 1 1   two\nTXT 2 2 \"\"\nTXT 3 3 \"é\"",
    )
    .unwrap();
    assert_eq!(program.data, b"\x01\x02Hello, it's \"me\"two\nlinestwo\xe9");
    let places: Vec<(u32, u8)> = program.code.iter().map(|i| (isa::half(*i), i[5])).collect();
    assert_eq!(places[..6], [(2, 16), (18, 9), (27, 3), (27, 3), (0, 0), (30, 1)]);
    assert_eq!(code_of("TXT 10 10 Hello World\nHALT").len(), 2);
}

#[test]
fn data_are_bytes_strings_and_patterns() {
    let text = "LDB r1 r2 b\nJMP b2\nb2: a: .data 1 0xff -1 'A' \"B\\x00\" #......# ........########\nb: .data\n";
    let program = assemble(&text.replace("JMP b2", "NOP")).unwrap();
    assert_eq!(program.data, [1, 255, 255, 65, 66, 0, 0x81, 0, 255]);
    assert_eq!(program.code[0], [0x15, 1, 2, 9, 0, 0]);
    assert_eq!(assemble(text).unwrap_err()[0].code, "wrong-kind");
    // A label alone names what comes next.
    let program = assemble("SET r1 d\nd:\n; so\n.seed 1\n.data 7\nl:\nJMP l").unwrap();
    assert_eq!(program.code, [[0x10, 1, 0, 0, 0, 0], [0x50, 0, 0, 1, 0, 0]]);
}

#[test]
fn directives_say_what_it_is_run_with() {
    let program = assemble(
        "# a comment\n.canvas 64, 32\n.MODE Total\n.seed -1\n.meta name A name; not this\n\
         .meta \"a key\" \"x;\\\"y\\\"\\n\"\n.equ A 5\n.equ B A*\n",
    );
    assert_eq!(program.unwrap_err()[0].code, "bad-number");
    let program = assemble(
        "# a comment\n.canvas 64, 32\n.MODE Total\n.seed -1\n.meta name A name; not this\n\
         .meta \"a key\" \"x;\\\"y\\\"\\n\"\n.equ A 5\n.equ B A+'0'-1\n.reg speed r9\n\
         SET speed B\n.raw 1 2 3 4 5 255\n.end\n",
    )
    .unwrap();
    let meta = [("name", "A name"), ("a key", "x;\"y\"\n")];
    let expected = Program {
        code: vec![[0x10, 9, 0, 52, 0, 0], [1, 2, 3, 4, 5, 255]],
        mode: Mode::Total,
        seed: u32::MAX,
        canvas: [64, 32],
        meta: meta.map(|(key, value)| (key.to_string(), value.to_string())).into(),
        ..Program::default()
    };
    assert_eq!(program, expected);
}

#[test]
fn a_halt_is_added_where_the_end_can_be_reached() {
    let halt = [0xff, 0, 0, 0, 0, 0];
    assert_eq!(code_of(""), [halt]);
    assert_eq!(code_of("NOP").last(), Some(&halt));
    for last in ["HALT", "JMP a", "JR r1", "RET"] {
        assert_eq!(code_of(&format!("a: NOP\n{last}")).len(), 2);
        assert_eq!(code_of(&format!("a: IF r1 b\n{last}\nb:")).len(), 3);
    }
    assert_eq!(code_of("NOP\n.end").len(), 1);
}

#[test]
fn every_fault_is_named_with_its_place() {
    let long = "x".repeat(256);
    for (text, code, column, end) in [
        ("ADDD r1 r2", "unknown-mnemonic", 1, 5),
        (" é: NOP", "bad-name", 2, 3),
        (".canvaz 1 2", "unknown-directive", 1, 8),
        ("JMP nowhere", "undefined-name", 5, 12),
        ("a: NOP\na: NOP", "doubled-name", 1, 2),
        (".equ a 1\na: NOP", "doubled-name", 1, 2),
        ("r1: NOP", "bad-name", 1, 3),
        (".equ a-b 1", "bad-name", 6, 9),
        (".equ a b", "undefined-name", 8, 9),
        (".equ a", "wrong-operands", 1, 5),
        ("l: .equ a l", "wrong-kind", 11, 12),
        (".reg a r16", "expected-register", 8, 11),
        ("ADD r1", "too-few-operands", 1, 4),
        ("ADD r1 r2 r3 r4", "too-many-operands", 14, 16),
        ("TXT 1 2", "too-few-operands", 1, 4),
        ("TXT 1 2 \"a\" 3", "too-many-operands", 13, 14),
        ("TXT 1 2 \"a", "open-string", 9, 11),
        ("TXT 1 2 \"\\q\"", "bad-string", 9, 13),
        ("TXT 1 2 字 a", "no-glyph", 9, 12),
        ("HALT 1", "too-many-operands", 6, 7),
        ("MOV r1 5", "expected-register", 8, 9),
        ("MOV r1 r16", "expected-register", 8, 11),
        ("RECT 1 r2 3 4", "expected-number", 8, 10),
        ("RECT 1 2 300 4", "out-of-range", 10, 13),
        ("RECT 1 2 -1 4", "out-of-range", 10, 12),
        ("RECT 1 2 3 4 #ff", "bad-number", 14, 17),
        ("ADD r1 r1 8388608", "out-of-range", 11, 18),
        ("SET r1 4294967296", "out-of-range", 8, 18),
        ("SET r1 r2", "expected-number", 8, 10),
        ("LDH r1 65536", "out-of-range", 8, 13),
        ("PEN 0x1000000", "out-of-range", 5, 14),
        ("SET r1 1+", "bad-number", 8, 10),
        ("SET r1 a*b", "bad-number", 8, 11),
        ("JMP 3\nNOP", "jump-outside", 5, 6),
        ("SPR 1 2 here 0\nhere: NOP", "wrong-kind", 9, 13),
        ("a: NOP\nb: JMP a+b", "wrong-kind", 8, 11),
        (".canvas 0 1025", "out-of-range", 9, 10),
        (".canvas 1", "wrong-operands", 1, 8),
        (".mode loose", "unknown-mode", 7, 12),
        (".seed 1\n.seed 1", "doubled-directive", 1, 6),
        (".data 256", "out-of-range", 7, 10),
        (".data #.#", "bad-pattern", 7, 10),
        (".raw 1 2 3 4 5", "wrong-operands", 1, 5),
        (".raw 1 2 3 4 5 256", "out-of-range", 16, 19),
        (".meta", "wrong-operands", 1, 6),
        (".meta a \"b\" c", "too-many-operands", 13, 14),
        (".end 1", "wrong-operands", 1, 5),
        (&format!("TXT 1 2 {long}"), "long-text", 9, 265),
    ] {
        let faults = assemble(text).unwrap_err();
        let fault = &faults[0];
        assert_eq!((fault.code, fault.column, fault.end_column), (code, column, end), "{text}");
        assert!(!fault.message.is_empty() && !fault.message.contains('\n'));
    }
}

#[test]
fn all_faults_are_told_at_once_in_order() {
    let text = "ADDD r1 r2\nRECT 300 2 3 400\n.canvas 0 0\nJMP x\n.equ y z\n";
    let faults = assemble(text).unwrap_err();
    let places: Vec<(usize, usize)> = faults.iter().map(|f| (f.line, f.column)).collect();
    assert_eq!(places, [(1, 1), (2, 6), (2, 14), (3, 9), (3, 11), (4, 5), (5, 8)]);
    assert_eq!(faults[0].help.as_deref(), Some("did you mean ADD?"));
    let help = faults[1].help.as_deref().unwrap();
    assert!(help.contains("SET rN 300") && help.contains("RECT ra rb rc rd"), "{help}");
}

#[test]
fn a_word_that_stands_for_two_operands_is_told_of_once() {
    for (text, columns) in
        [("ADD r17 r2", &[5][..]), ("SUB 5 r2", &[5]), ("MULQ r99 r16", &[6, 10])]
    {
        let faults = assemble(text).unwrap_err();
        let found: Vec<usize> = faults.iter().map(|fault| fault.column).collect();
        assert_eq!(found, columns, "{text}");
    }
}

#[test]
fn limits_are_told_with_the_line() {
    let text = "NOP\n".repeat(MAX_CODE);
    let faults = assemble(&text).unwrap_err();
    assert_eq!((faults[0].code, faults[0].line), ("too-many-instructions", MAX_CODE + 1));
    assert_eq!(assemble(&format!("{text}.end")).unwrap().code.len(), MAX_CODE);
    let data = ".data 1 2 3 4 5 6 7 8\n".repeat(MAX_DATA / 8);
    assert_eq!(assemble(&data).unwrap().data.len(), MAX_DATA);
    for text in [format!("TXT 1 1 a\n{data}"), format!("{data}.data 1"), format!("{data}TXT 1 1 a")]
    {
        let faults = assemble(&text).unwrap_err();
        assert_eq!((faults.len(), faults[0].code), (1, "too-much-data"));
    }
}

#[test]
fn programs_that_nobody_would_write_come_back() {
    let halt = [0xff, 0, 0, 0, 0, 0];
    let odd = |code: Vec<Instruction>, data: &[u8]| {
        same(&Program { code, data: data.into(), ..Program::default() });
    };
    odd(vec![], b"");
    odd(vec![], b"x");
    odd(vec![[0x50, 0, 0, 0, 0, 0]], b"");
    odd(vec![[0x50, 0, 0, 1, 0, 0]], b"");
    odd(vec![[0x50, 1, 0, 0, 0, 0]], b"");
    odd(vec![halt, halt], b"");
    odd(vec![[0xff, 0, 0, 0, 0, 1]], b"");
    odd(vec![[0x20, 16, 0, 0, 0, 0], halt], b"");
    // Texts: overlapping, out of order, outside, empty, equal in two places, behind others.
    let txt = |place, length| [0x76, 1, 1, place, 0, length];
    odd(vec![txt(0, 3), txt(3, 3)], b"abcdef");
    odd(vec![txt(3, 3), txt(0, 3)], b"abcdef");
    odd(vec![txt(0, 3), txt(2, 4)], b"abcdef");
    odd(vec![txt(0, 3), txt(3, 3)], b"abcabc");
    odd(vec![txt(2, 3), txt(2, 3)], b"ababc");
    odd(vec![txt(2, 200), txt(6, 0), txt(6, 1)], b"ababc\n");
    odd(vec![txt(4, 2), txt(0, 6), [0x78, 0, 0, 4, 0, 9]], b"abc\"\\\xff");
    odd(vec![[0x78, 0, 0, 0, 0, 0], [0x78, 0, 0, 4, 0, 0], [0x15, 0, 0, 12, 0, 0]], &[85; 13]);
    let meta = ["", "\r\n;\"\\\u{2028}\u{7f}é字 ", "name"];
    same(&Program {
        meta: meta.iter().flat_map(|a| meta.map(|b| (a.to_string(), b.to_string()))).collect(),
        seed: 1 << 31,
        canvas: [1, 1024],
        mode: Mode::Total,
        ..Program::default()
    });
}

/// Instructions that are mostly of operations, with small numbers where jumps and places are.
fn instructions() -> impl Strategy<Value = Instruction> {
    let likely = (0..isa::OPERATIONS.len(), any::<[u8; 5]>(), any::<[bool; 4]>()).prop_map(
        |(row, mut bytes, [small, registers, clean, tiny])| {
            if registers {
                bytes.iter_mut().for_each(|byte| *byte %= 16);
            }
            if small {
                bytes[3] = 0;
            }
            if clean {
                bytes[4] = 0;
            }
            if tiny {
                bytes = bytes.map(|byte| byte % 3);
            }
            let [a, b, c, d, e] = bytes;
            [isa::OPERATIONS[row].code, a, b, c, d, e]
        },
    );
    let texts = (0..20_u8, 0..20_u8).prop_map(|(place, length)| [0x76, 0, 0, place, 0, length]);
    prop_oneof![4 => likely, 1 => any::<Instruction>(), 1 => texts]
}

fn programs() -> impl Strategy<Value = Program> {
    let code = prop::collection::vec(instructions(), 0..80);
    let letters = prop::collection::vec(b'a'..b'c', 0..40);
    let data = prop_oneof![prop::collection::vec(any::<u8>(), 0..300), letters];
    let meta = prop::collection::vec(any::<(String, String)>(), 0..3);
    (code, data, meta, any::<(u32, bool)>(), [1..=1024_u32, 1..=1024]).prop_map(
        |(code, data, meta, (seed, total), canvas)| Program {
            code,
            data,
            mode: if total { Mode::Total } else { Mode::Strict },
            seed,
            canvas,
            meta,
        },
    )
}

proptest! {
    #[test]
    fn every_program_comes_back_from_its_text(program in programs()) {
        same(&program);
    }

    #[test]
    fn no_text_is_too_wrong(text in r##"([A-Z]{2,4}|[ra]1?[0-9]|[,;:@#."'\\+\- \n\t]|\.[a-z]{3,4}|[0-9]{1,5}|\PC){0,60}"##) {
        if let Err(faults) = assemble(&text) {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                fault.render(&text, "text");
                prop_assert!(fault.line >= 1 && fault.column >= 1);
                prop_assert!(fault.end_column >= fault.column);
            }
        } else {
            same(&assemble(&text).unwrap());
        }
    }
}
