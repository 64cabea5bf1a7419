//! Cartridges: files and rows, and what happens when they differ.

use super::*;
use gvpie_core::pixel::{Cartridge, assemble};

fn cartridge(text: &str) -> Vec<u8> {
    let program = assemble(text).unwrap();
    Cartridge { source: Some(text.into()), ..Cartridge::new(program) }.encode().unwrap()
}

const RAIN: &str = ".meta name Soft Rain\n.meta tags a b\n.canvas 32 16\nHALT\n";

#[test]
fn cartridges_are_added_found_and_read() {
    let (folder, mut store) = store();
    let file = cartridge(RAIN);
    let row = store.add_cartridge(&file, None, None).unwrap();
    assert_eq!((row.slug.as_str(), row.name.as_str()), ("soft-rain", "Soft Rain"));
    assert_eq!((row.width, row.height, row.executed_count), (Some(32), Some(16), 0));
    assert_eq!(row.path, format!("cartridges/soft-rain-{}.pxl.png", &row.checksum[..16]));
    assert_eq!(row.meta.as_ref().unwrap()["tags"], serde_json::json!(["a", "b"]));
    assert_eq!(store.cartridge_file(&row).unwrap(), file);
    for which in ["1", "soft-rain", &row.path] {
        assert_eq!(store.cartridge(which).unwrap().as_ref(), Some(&row), "{which}");
    }
    let child = store.add_cartridge(&file, None, Some(row.id)).unwrap();
    assert_eq!((child.slug.as_str(), child.parent_id), ("soft-rain-2", Some(row.id)));
    let told = store.map_row(child.map_id.unwrap()).unwrap().unwrap();
    assert_eq!((told.kind.as_str(), told.parent_iteration), ("edit", row.map_id));
    assert_eq!(told.code.as_deref(), Some(RAIN));
    assert_eq!(store.cartridges(Page::default()).unwrap().items.len(), 2);
    assert!(folder.path().join(&row.path).is_file());

    assert!(matches!(store.add_cartridge(b"text", None, None), Err(StoreError::Format(_))));
    let taken = store.add_cartridge(&file, Some("soft-rain"), None);
    assert!(matches!(taken, Err(StoreError::Taken { .. })));
    for slug in ["../up", "a/b", "", "7"] {
        let refused = store.add_cartridge(&file, Some(slug), None);
        assert!(matches!(refused, Err(StoreError::Value { .. })), "{slug}");
    }
    let orphan = store.add_cartridge(&file, None, Some(99));
    assert!(matches!(orphan, Err(StoreError::Missing { .. })));
}

#[test]
fn files_that_are_not_what_their_rows_say_are_refused() {
    let (folder, mut store) = store();
    let row = store.add_cartridge(&cartridge(RAIN), None, None).unwrap();
    let place = folder.path().join(&row.path);
    let found = |row: &CartridgeRow| match store.cartridge_file(row) {
        Err(StoreError::Cartridge { found, .. }) => found,
        other => panic!("{other:?}"),
    };
    std::fs::write(&place, cartridge("NOP")).unwrap();
    assert!(found(&row).starts_with("of the checksum"));
    std::fs::remove_file(&place).unwrap();
    assert_eq!(found(&row), "not there");
    for path in ["db/daemon.db", "cartridges/../db/daemon.db", "/etc/passwd"] {
        let stray = CartridgeRow { path: path.into(), ..row.clone() };
        assert_eq!(found(&stray), "not in the folder of cartridges", "{path}");
    }
}

#[test]
fn cartridges_are_changed_removed_and_counted() {
    let (folder, mut store) = store();
    let before = store.add_cartridge(&cartridge(RAIN), None, None).unwrap();
    let script = Script::new("rain", Language::Cartridge, &before.path);
    let id = store.add_script(&script).unwrap();
    run(&mut store, RunStatus::Ok);
    run(&mut store, RunStatus::Skipped);
    let row = store.cartridge("1").unwrap().unwrap();
    assert_eq!(row.executed_count, 2);
    let run = store.run("1").unwrap().unwrap();
    assert_eq!(run.cartridge_path.as_ref(), Some(&before.path));

    let row = store.change_cartridge(1, &cartridge(".canvas 8 8\nNOP\nHALT")).unwrap();
    assert_eq!((row.slug.as_str(), row.width, row.executed_count), ("soft-rain", Some(8), 2));
    assert!(row.path != before.path && folder.path().join(&before.path).is_file());
    assert_eq!(store.script_row(id).unwrap().unwrap().code, row.path);

    store.remove_cartridge(1).unwrap();
    assert!(store.cartridge("soft-rain").unwrap().is_none());
    assert!(store.cartridges(Page::default()).unwrap().items.is_empty());
    for gone in [store.remove_cartridge(1).err(), store.change_cartridge(1, b"").err()] {
        assert!(matches!(gone, Some(StoreError::Missing { .. })));
    }
    let again = store.add_cartridge(&cartridge(RAIN), None, None).unwrap();
    assert_eq!(again.slug, "soft-rain-2", "the name stays the removed one's");
    rows(&store);
}
