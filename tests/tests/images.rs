//! The builder stage of the images: it needs the manifest of every crate, before any source.

use std::fs;
use std::path::Path;

const DOCKERFILES: [&str; 4] =
    ["server/Dockerfile", "client/Dockerfile", "client/load/Dockerfile", "server/pki/Dockerfile"];

#[test]
fn every_manifest_is_copied_and_reaches_docker() {
    let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let read = |name: &str| fs::read_to_string(repository.join(name)).expect("a file");
    let (workspace, ignored) = (read("Cargo.toml"), read(".dockerignore"));
    let members = workspace.split_once("members = [").expect("a workspace").1;
    let members = members.split_once(']').expect("its end").0;
    let members: Vec<_> = members.split('"').skip(1).step_by(2).collect();
    assert!(members.contains(&"server") && members.contains(&"tests/kit"), "{members:?}");
    for member in members {
        for dockerfile in DOCKERFILES {
            let line = format!("\nCOPY {member}/Cargo.toml {member}/\n");
            assert!(read(dockerfile).contains(&line), "{dockerfile}: {member}");
        }
        // Folders of tests don't reach Docker.
        let is_let_through = ignored.contains(&format!("\n!{member}/Cargo.toml\n"));
        assert_eq!(is_let_through, member.starts_with("tests"), ".dockerignore: {member}");
    }
}
