#!/bin/sh
# What the builder stage of the images runs, in two steps so that Docker keeps the first one:
#   build.sh dependencies   compiles what Cargo.lock names, with empty sources in place of ours
#   build.sh programs       compiles ours, and lays out what the images are made of under /image
# The programs are static: their images have no libc.
set -eu

RUSTFLAGS="-C target-feature=+crt-static"
export RUSTFLAGS
# With a target named, build scripts and procedural macros are compiled without these flags.
target=$(rustc -vV | sed -n 's/^host: //p')

compile() {
    cargo build --release --locked --target "$target" \
        -p server --bin server -p client --bin client -p load --bin dataset -p pki --bin pki
}

# An empty source for each target that a manifest names, as "kind name": cargo wants them to be there.
empty_sources() {
    mkdir -p src/bin tests benches
    : > src/lib.rs
    awk '/^\[/ { kind = $0 } kind ~ /^\[\[/ && $1 == "name" { gsub(/[]["]/, ""); print kind, $3 }' \
        Cargo.toml | tr -d '[]' | while read -r kind name; do
        case $kind in
            bin) echo 'fn main() {}' | tee src/main.rs > "src/bin/$name.rs" ;;
            test) echo 'fn main() {}' > "tests/$name.rs" ;;
            bench) echo 'fn main() {}' > "benches/$name.rs" ;;
        esac
    done
}

dependencies() {
    # The members of the workspace: each must be there.
    sed -n '/^members/,/^]/s/^ *"\([^"]*\)".*/\1/p' Cargo.toml | while read -r crate; do
        (cd "$crate" && empty_sources)
    done
    compile
}

programs() {
    # Copied files are as old as in the repository; cargo must see that they are newer than its build.
    find wire reactor server client -name '*.rs' -exec touch {} +
    compile
    # lottery/ is where a program runs, ledger/ where a volume may be mounted: both for its user.
    mkdir -p /image/folders/lottery /image/folders/ledger
    for program in server client dataset pki; do
        cp "target/$target/release/$program" /image/
    done
}

"$1"
