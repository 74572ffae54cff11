#!/bin/bash
# The images that ours are made from, on a machine that reaches no image registry:
#
#   rust:1-slim-bookworm   this machine's Rust toolchain on a Debian of its own
#   busybox:latest         Debian's busybox-static, for validar-echo-server.sh and the tests
#
# Only what is neither there nor can be pulled is made. Made images are stand-ins for this machine,
# never to be published. Needs root, Debian's apt, and Rust as rustup installs it.

# `sh base-images.sh` may be another shell.
if [ -z "${BASH_VERSION:-}" ]; then exec bash "$0" "$@"; fi
set -euo pipefail

readonly SUITE=bookworm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf 'make docker-base-images: %s\n' "$*"; }

fail() {
    say "$*" >&2
    exit 1
}

is_there() {
    if docker image inspect "$1" > /dev/null 2>&1; then
        say "$1 is there"
        return
    fi
    say "pulling $1"
    docker pull -q "$1" > /dev/null 2>&1
}

# What is needed to make one, before anything is made.
check_machine() {
    [ "$(id -u)" -eq 0 ] || fail "$1 can't be pulled, and making a stand-in needs root"
    command -v apt-get > /dev/null || fail "$1 can't be pulled, and making a stand-in needs Debian's apt"
}

install_package() {
    dpkg -s "$1" > /dev/null 2>&1 && return
    say "installing $1"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$1" > /dev/null
}

# Where this machine has its own Debian packages from.
debian_archive() {
    apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' "Release: $SUITE" | head -n 1
}

# An image of what is in a folder: import_image FOLDER NAME CHANGE...
import_image() {
    local root=$1 name=$2 changes=() change
    shift 2
    for change; do changes+=(-c "$change"); done
    tar -C "$root" -c . | docker import "${changes[@]}" - "$name" > /dev/null
    say "$name is made"
}

make_busybox() {
    check_machine busybox:latest
    say "making busybox:latest of Debian's busybox"
    install_package busybox-static
    local root=$work/busybox
    mkdir -p "$root"/{bin,dev,etc,proc,sys} && mkdir -m 1777 "$root/tmp"
    cp "$(command -v busybox)" "$root/bin/busybox"
    busybox --list | grep -vx busybox | while read -r name; do ln -s busybox "$root/bin/$name"; done
    import_image "$root" busybox:latest 'ENV PATH=/bin' 'CMD ["sh"]'
}

# A Debian with a C compiler, and what cargo needs to fetch crates as this machine fetches them.
debian_root() {
    install_package debootstrap
    say "unpacking Debian $SUITE with a C compiler (most of a minute)"
    debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev \
        "$SUITE" "$1" "$(debian_archive)" > "$work/debootstrap.log" 2>&1 ||
        { tail "$work/debootstrap.log" >&2 && return 1; }
    rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* "$1"/usr/share/{doc,man,locale}
    cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
}

# rustc and cargo with their libraries and linker: no documentation, sources, rustfmt or clippy.
toolchain() {
    tar -C "$(rustc --print sysroot)" --exclude=lib/rustlib/src -c bin/rustc bin/cargo lib |
        tar -C "$1/usr/local" -x
}

make_rust() {
    local root=$work/rust
    check_machine rust:1-slim-bookworm
    command -v rustc > /dev/null || fail "rust:1-slim-bookworm can't be pulled, and Rust isn't installed"
    debian_root "$root"
    say "copying $(rustc --version)"
    toolchain "$root"
    say "importing rust:1-slim-bookworm (some ten seconds)"
    import_image "$root" rust:1-slim-bookworm 'ENV CARGO_HOME=/usr/local/cargo' \
        'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' 'CMD ["bash"]'
}

is_there busybox:latest || make_busybox
is_there rust:1-slim-bookworm || make_rust
