#!/bin/bash
# The images that ours are made from, on a machine that reaches no image registry:
#
#   rust:1-slim-bookworm   this machine's Rust toolchain on a Debian of its own
#   busybox:latest         Debian's busybox-static, for validar-echo-server.sh and the tests
#
# Only what is neither there nor can be pulled is made. Made images are stand-ins for this machine,
# never to be published. Needs root, Debian's apt, and Rust as rustup installs it.
set -euo pipefail

readonly SUITE=bookworm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

is_there() {
    docker image inspect "$1" > /dev/null 2>&1 || docker pull -q "$1" > /dev/null 2>&1
}

install_package() {
    dpkg -s "$1" > /dev/null 2>&1 && return
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$1" > /dev/null
}

# Where this machine has its own Debian packages from.
debian_archive() {
    apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' "Release: $SUITE" | head -n 1
}

make_busybox() {
    install_package busybox-static
    local root=$work/busybox
    mkdir -p "$root"/{bin,dev,etc,proc,sys} && mkdir -m 1777 "$root/tmp"
    cp "$(command -v busybox)" "$root/bin/busybox"
    busybox --list | grep -vx busybox | while read -r name; do ln -s busybox "$root/bin/$name"; done
    tar -C "$root" -c . | docker import -c 'ENV PATH=/bin' -c 'CMD ["sh"]' - busybox:latest
}

# A Debian with a C linker, and what cargo needs to fetch crates as this machine fetches them.
debian_root() {
    install_package debootstrap
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
    debian_root "$root"
    toolchain "$root"
    tar -C "$root" -c . | docker import -c 'ENV CARGO_HOME=/usr/local/cargo' \
        -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        -c 'CMD ["bash"]' - rust:1-slim-bookworm
}

is_there busybox:latest || make_busybox
is_there rust:1-slim-bookworm || make_rust
