//! `gvpie einsum`.

use super::{c_order, failed, gvpie, load, on_cpu, said, save, small, succeeded};
use gvpie_core::{Complex, f16};

#[test]
fn einsum_contracts_files() {
    let f = small();
    succeeded(&on_cpu(&f, &["einsum", "ij,jk->ki", "a.npy", "b.npy", "-o", "y.npy"]));
    let product = load::<f32>(&f.path().join("y.npy"));
    assert_eq!(product, (vec![2, 2], vec![4.0, 10.0, 5.0, 11.0]));

    // The same A, column by column.
    save(&f, "af.npy", npyz::Order::Fortran, &[2, 3], &[1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0]);
    succeeded(&on_cpu(&f, &["einsum", "ij,ij->", "a.npy", "af.npy", "--output", "y.npy"]));
    assert_eq!(load::<f32>(&f.path().join("y.npy")), (vec![], vec![91.0]));

    let many = ["einsum", "ij,jk,kl", "a.npy", "b.npy", "c0.npy", "--order", "greedy"];
    succeeded(&on_cpu(&f, &[&many[..], &["-o", "y.npy", "--memory-limit", "1KiB"]].concat()));
    let (_, chain) = load::<f32>(&f.path().join("y.npy"));
    assert_eq!(chain, [190.0, 280.0, 430.0, 640.0]);
}

#[test]
fn einsum_has_numpy_s_element_types() {
    let f = small();
    c_order(&f, "h.npy", &[3], &[1.0_f32, 2.0, 3.0].map(f16::from_f32));
    c_order(&f, "d.npy", &[3], &[1.0_f64, 2.0, 3.0]);
    c_order(&f, "z.npy", &[3], &[0.0_f32, 1.0, 2.0].map(|im| Complex::new(1.0, im)));
    let run = |operands: [&str; 2]| {
        let arguments = [&["einsum", "i,i"][..], &operands, &["-o", "y.npy"]].concat();
        succeeded(&on_cpu(&f, &arguments));
        f.path().join("y.npy")
    };
    assert_eq!(load::<f16>(&run(["h.npy", "h.npy"])).1, [f16::from_f32(14.0)]);
    assert_eq!(load::<f64>(&run(["h.npy", "d.npy"])).1, [14.0]);
    assert_eq!(load::<Complex<f32>>(&run(["h.npy", "z.npy"])).1, [Complex::new(6.0, 8.0)]);
    assert_eq!(load::<Complex<f64>>(&run(["d.npy", "z.npy"])).1, [Complex::new(6.0, 8.0)]);
}

#[test]
fn einsum_prints_its_path_and_computes_nothing() {
    let f = small();
    let output = on_cpu(&f, &["einsum", "ij,jk,kl->il", "a.npy", "b.npy", "c0.npy", "--path"]);
    succeeded(&output);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for word in ["ij,jk,kl->il", "all at once", "largest intermediate", "ij,jk->ik"] {
        assert!(text.contains(word), "'{word}' is not in: {text}");
    }
    let arguments = ["einsum", "ij,jk,kl->il", "a.npy", "b.npy", "c0.npy", "--path", "--json"];
    let output = on_cpu(&f, &arguments);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["largest_intermediate"], 16);
    assert_eq!(json["steps"].as_array().unwrap().len(), 2);

    let arguments = ["einsum", "ij,jk->ik", "a.npy", "b.npy", "-o", "y.npy", "--json"];
    let output = on_cpu(&f, &arguments);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["shape"][0], &json["dtype"]), (&2.into(), &"f32".into()));
}

#[test]
fn einsum_says_what_is_wrong() {
    let f = small();
    // The place in the expression is marked, on lines of their own.
    let marked = |arguments: &[&str], words: &[&str], mark: &str| {
        let output = on_cpu(&f, &[arguments, &["-o", "y.npy"]].concat());
        let message = said(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        for word in words {
            assert!(message.contains(word), "'{word}' is not in: {message}");
        }
        assert_eq!(message.trim_end().lines().last(), Some(mark), "{message}");
        assert!(!f.path().join("y.npy").exists());
    };
    marked(&["einsum", "ij,j1->i", "a.npy", "b.npy"], &["'1' is no index"], "      ^");
    marked(
        &["einsum", "ij,jk->ik", "a.npy", "c0.npy"],
        &["'j'", "operand 2 has 2 elements", "operand 1 has 3"],
        "     ^",
    );
    marked(&["einsum", "ij,jk->ix", "a.npy", "b.npy"], &["'x'", "in no operand"], "          ^");
    marked(&["einsum", "ij,jk->ik", "a.npy"], &["2 operands, found 1"], "     ^");
    let limit = ["einsum", "ij,jk,kl->il", "a.npy", "b.npy", "c0.npy", "--memory-limit", "3"];
    failed(&on_cpu(&f, &[&limit[..], &["-o", "y.npy"]].concat()), &["at least 16 bytes"]);
    failed(&on_cpu(&f, &["einsum", "i", "none.npy", "-o", "y.npy"]), &["none.npy"]);

    let usage = |arguments: &[&str], words: &[&str]| {
        let output = gvpie(arguments).current_dir(&f).output().unwrap();
        let message = said(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    usage(&["einsum", "ij"], &["A.npy"]);
    usage(&["einsum", "ij", "a.npy"], &["--output"]);
    let strange = ["einsum", "ij", "a.npy", "-o", "y.npy", "--memory-limit", "2parsecs"];
    usage(&strange, &["expected bytes, as in 4096", "2parsecs"]);
}

#[test]
fn help_tells_of_einsum() {
    for (arguments, words) in [
        (&["help"][..], &["gvpie einsum"][..]),
        (&["help", "einsum"], &["--memory-limit", "--path", "bij,bjk->bik", "numpy.einsum"]),
        (&["help", "bench"], &["einsum"]),
    ] {
        let output = gvpie(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for word in words {
            assert!(text.contains(word), "'{word}' is not in: {text}");
        }
    }
}
