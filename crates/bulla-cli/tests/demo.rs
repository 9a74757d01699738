use crate::sandbox::{Sandbox, noise};

#[test]
fn the_demo_keeps_its_promises() {
    let sandbox = Sandbox::empty();
    for (name, len) in [("small", 100), ("large", 200_000), ("empty", 0), ("other", 70_000)] {
        sandbox.write(name, noise(len, 1));
    }
    std::fs::create_dir(sandbox.path("target")).unwrap();
    sandbox.write("target/left-out", b"x");
    let before = sandbox.names();

    let run = sandbox.run(["demo", "--stream-bytes", "3000001", "--json"]).succeeds();
    let steps = run.json();
    let find = |step: &str| steps.iter().find(|record| record["step"] == step).unwrap_or_else(|| panic!("{step}"));
    assert_eq!((&find("stored files")["values"], &find("stored files")["bytes"]), (&4.into(), &270_100.into()));
    assert_eq!(find("read the stream back, equal")["bytes"], 3_000_001);
    assert_eq!(find("resealed")["entries"], 3);
    let attacks: Vec<_> = steps.iter().filter(|record| record["step"] == "attack").collect();
    assert_eq!(attacks.len(), 10);
    assert!(attacks.iter().all(|attack| attack["refused"] == true), "{attacks:?}");
    assert_eq!((&find("summary")["refused"], &find("summary")["not_as_promised"]), (&10.into(), &0.into()));
    assert_eq!(sandbox.names(), before);
    // Nothing of it is this user's.
    assert_eq!(std::fs::read_dir(sandbox.home()).unwrap().count(), 0);
}

#[test]
fn the_demo_is_kept_if_asked_for() {
    let sandbox = Sandbox::empty();
    let run = sandbox.run(["demo", "--stream-bytes", "100000", "--keep", "kept"]).succeeds();
    assert!(run.text().contains("10 attacks refused, 0 not as promised"), "{run:?}");
    let list = ["ls", "--namespace", "generated", "--config", "kept/bulla.toml", "--identity", "kept/identity"];
    assert_eq!(sandbox.run(list).succeeds().text(), "stream\n");
    sandbox.run(["demo", "--keep", "kept"]).fails(1, "kept");
    sandbox.run(["demo", "--input", "none"]).fails(3, "none");
}
