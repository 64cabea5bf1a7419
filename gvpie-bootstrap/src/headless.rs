//! The window without a window: keys from the command line, the last frame to a file.

use crate::content::Content;
use crate::editor::Key;
use crate::player::Bound;
use crate::scene::{Press, Scene};
use crate::{Failure, pace, present};
use glam::UVec2;
use gvpie_core::{Backend, Context, ContextOptions, Error};
use std::io::Write;
use std::path::Path;

/// Cycles of a program's frame at most, so that one without an end ends.
const FRAME_CYCLES: u32 = 100_000_000;

/// What to do before the picture is taken.
#[derive(Debug)]
pub struct Script {
    /// What is pressed, each for a frame.
    pub keys: Vec<Press>,
    /// How many frames to draw; the keys are spread evenly over them.
    pub frames: u32,
}

/// Names that stand in braces.
const NAMES: [(&str, Press); 16] = [
    ("Enter", Press::Edit(Key::Enter)),
    ("Tab", Press::Edit(Key::Tab)),
    ("Backspace", Press::Edit(Key::Backspace)),
    ("Delete", Press::Edit(Key::Delete)),
    ("Left", Press::Edit(Key::Left)),
    ("Right", Press::Edit(Key::Right)),
    ("Up", Press::Edit(Key::Up)),
    ("Down", Press::Edit(Key::Down)),
    ("Home", Press::Edit(Key::Home)),
    ("End", Press::Edit(Key::End)),
    ("PageUp", Press::Edit(Key::PageUp)),
    ("PageDown", Press::Edit(Key::PageDown)),
    ("F2", Press::ToggleView),
    ("F5", Press::Restart),
    ("F6", Press::Pause),
    ("F12", Press::Snapshot),
];

/// Text to keys: `Hello{Enter}`, with `{{` for a brace.
pub fn parse_keys(text: &str) -> Result<Vec<Press>, String> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let (next, press) = match first {
            '{' if after.starts_with('{') => (&after[1..], Press::Edit(Key::Char('{'))),
            '{' => {
                let Some((name, after)) = after.split_once('}') else {
                    return Err(format!("--keys: no '}}' closes '{rest}'; {{{{ types a brace"));
                };
                let Some((_, press)) = NAMES.iter().find(|(known, _)| *known == name) else {
                    let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
                    let known = known.join(" ");
                    return Err(format!("--keys: no key is named '{name}'; there are {known}"));
                };
                (after, *press)
            }
            '\n' => (after, Press::Edit(Key::Enter)),
            '\t' => (after, Press::Edit(Key::Tab)),
            character => (after, Press::Edit(Key::Char(character))),
        };
        rest = next;
        keys.push(press);
    }
    Ok(keys)
}

/// Draws the frames, and writes the last to `out`; a program's faults are told after that.
pub fn run(
    content: Content,
    size: UVec2,
    scale: f64,
    script: &Script,
    backend: Option<Backend>,
    out: &Path,
) -> Result<(), Failure> {
    // What a program draws is on the host: no device is woken for it unless one is asked for.
    let host = matches!(content, Content::Program(..)).then_some(Backend::Cpu);
    let options = ContextOptions { backend: backend.or(host), ..ContextOptions::from_env()? };
    let mut open = || {
        let ctx = pollster::block_on(Context::request(options.clone()))?;
        if let Some(notice) = ctx.notice() {
            eprintln!("gvpie-bootstrap: {notice}");
        }
        Ok(ctx)
    };
    let mut scene = Scene::new(content, size, scale)?;
    let pixels = play(&mut scene, script, &mut open, &mut std::io::stdout().lock())?;
    present::save(out, size, &pixels)?;
    match scene {
        Scene::Program(player) => player.obituary().map_or(Ok(()), |words| {
            Err(Failure::new(words, format!("'{}' is of that moment", out.display())))
        }),
        Scene::Text(_) => Ok(()),
    }
}

/// Types and draws; the last frame's pixels. A program's clock is the number of the frame.
fn play(
    scene: &mut Scene,
    script: &Script,
    open: &mut dyn FnMut() -> gvpie_core::Result<Context>,
    said: &mut dyn Write,
) -> Result<Vec<u32>, Failure> {
    let mut ctx = open()?;
    let mut stage = None;
    let frames = u64::from(script.frames);
    let share = |frame: u64| (script.keys.len() as u64 * frame / frames) as usize;
    let mut pixels = Vec::new();
    let mut beat = 0;
    for frame in 0..frames {
        let mut snapshots = 0;
        for &press in &script.keys[share(frame)..share(frame + 1)] {
            snapshots += u32::from(scene.press(press)? == Some(Press::Snapshot));
            if press == Press::Restart {
                beat = 0;
            }
        }
        if let Scene::Program(player) = scene {
            if share(frame + 1) == script.keys.len() {
                player.controls.end();
            }
            player.tick(pace::time(beat), Bound::Cycles(FRAME_CYCLES), said)?;
            beat += u64::from(player.lives());
        }
        let wanted = snapshots > 0 || frame + 1 == frames;
        let mut drawn = scene.frame(&ctx, &mut stage, wanted);
        if let Err(Error::DeviceLost { .. }) = drawn {
            // What is shown is the host's: a new device draws what the lost one would have.
            stage = None;
            ctx = open()?;
            drawn = scene.frame(&ctx, &mut stage, wanted);
        }
        pixels = drawn?;
        for _ in 0..snapshots {
            scene.save(&pixels)?;
        }
    }
    Ok(pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_text_and_names_in_braces() {
        let edit = |key| Press::Edit(key);
        assert_eq!(
            parse_keys("aé{Enter}{{}\n{F2}").unwrap(),
            [
                edit(Key::Char('a')),
                edit(Key::Char('é')),
                edit(Key::Enter),
                edit(Key::Char('{')),
                edit(Key::Char('}')),
                edit(Key::Enter),
                Press::ToggleView
            ]
        );
        assert_eq!(parse_keys("").unwrap(), []);
        let unknown = parse_keys("a{Entre}").unwrap_err();
        assert!(unknown.contains("'Entre'") && unknown.contains("PageDown"), "{unknown}");
        assert!(parse_keys("a{Enter").unwrap_err().contains("closes '{Enter'"));
    }

    fn text(size: [u32; 2]) -> Scene {
        Scene::new(Content::Text(String::new()), size.into(), 1.0).unwrap()
    }

    fn on_cpu(scene: &mut Scene, keys: &str, frames: u32) -> (Vec<u32>, String) {
        let script = Script { keys: parse_keys(keys).unwrap(), frames };
        let mut said = Vec::new();
        let open = &mut || Context::on(Backend::Cpu);
        let pixels = play(scene, &script, open, &mut said).unwrap();
        (pixels, String::from_utf8(said).unwrap())
    }

    #[test]
    fn keys_reach_a_program_frame_by_frame() {
        // Echoes a byte a frame, and shows the keys of the frame in the row of its number.
        let echo = ".canvas 2 4\nl: IN r1 18\nIN r2 7\nSET r3 0\nPENR r1\nPLOT r3 r2\n\
            IN r4 17\nSLT r5 r4 0\nIF r5 e\nOUT 16 r4\ne: YIELD\nJMP l";
        let play = |keys: &str, frames| {
            let program = gvpie_core::pixel::assemble(echo).unwrap();
            let cartridge = gvpie_core::pixel::Cartridge::new(program);
            let content = Content::Program(Box::new(cartridge), "echo".into());
            let mut scene = Scene::new(content, UVec2::new(2, 4), 1.0).unwrap();
            let (pixels, said) = on_cpu(&mut scene, keys, frames);
            let keys: Vec<u32> = pixels.chunks(2).map(|row| row[0] & 0xff_ffff).collect();
            (keys, said)
        };
        // The frame of {Left} has nothing to read, and is done when there is.
        assert_eq!(play("a{Left}b ", 4), (vec![0, 1, 16, 0], "ab ".into()));
        assert_eq!(play("a{Left}b ", 2), (vec![1, 16, 0, 0], "ab".into()));
        assert_eq!(play("", 3), (vec![0; 4], String::new()));
        assert_eq!(play("a{Up}{F5}b{Down}", 5), (vec![0, 8, 0, 0], "ab".into()));
    }

    #[test]
    fn frames_do_not_change_what_is_typed() {
        let draw =
            |frames| on_cpu(&mut text([100, 60]), "Hello{Enter}world{Left}{F2}{F2}", frames).0;
        let once = draw(1);
        assert_eq!(once.len(), 6000);
        assert!(once.contains(&u32::MAX));
        assert_eq!(draw(3), once);
        assert_eq!(draw(40), once);
    }

    #[test]
    fn gpu_lost_is_replaced_and_the_text_is_intact() {
        let wish = std::env::var("GVPIE_GPU").unwrap_or_default();
        if wish == "off" {
            eprintln!("SKIPPED: GVPIE_GPU=off");
            return;
        }
        let first = match Context::on(Backend::Gpu) {
            Ok(first) => first,
            Err(error) => {
                assert_ne!(wish, "require", "GVPIE_GPU=require: {error}");
                eprintln!("SKIPPED: {error}");
                return;
            }
        };
        let keys = parse_keys("before").unwrap();
        let script = Script { keys, frames: 1 };
        let mut opened = 0;
        let mut open = || {
            opened += 1;
            if opened > 1 {
                return Context::on(Backend::Gpu);
            }
            if let Some(gpu) = first.device().gpu() {
                gpu.wgpu().destroy();
                let _ = gpu.wgpu().poll(gvpie_core::wgpu::PollType::Poll); // hears of it
            }
            Ok(first.clone())
        };
        let mut said = Vec::new();
        let lost = play(&mut text([200, 60]), &script, &mut open, &mut said).unwrap();
        assert_eq!(opened, 2);
        let (host, _) = on_cpu(&mut text([200, 60]), "before", 1);
        assert_eq!(lost, host);
    }
}
