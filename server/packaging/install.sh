#!/bin/sh
# Installs what `make build man` has made, or removes it again: install.sh install|uninstall.
#
#   PREFIX       where programs, manual and units go: /usr/local
#   SYSCONFDIR   where configuration goes: /etc. What is there is kept
#   ZSHDIR       where zsh's completions go, below PREFIX: share/zsh/site-functions
#   DESTDIR      put before all of these, for a package: it isn't where the files will be
#   PROGRAMS     the folder that programs are taken from: target/release
#   MANUAL       the one that manual pages and completions are taken from: target/manual
#
# Needs a POSIX shell. Users and running services are left to who installs: it says what comes next.
set -eu
cd "$(dirname "$0")/../.."

readonly here=server/packaging
programs=${PROGRAMS:-target/release} manual=${MANUAL:-target/manual}
PREFIX=${PREFIX:-/usr/local} SYSCONFDIR=${SYSCONFDIR:-/etc} DESTDIR=${DESTDIR:-}
ZSHDIR=${ZSHDIR:-share/zsh/site-functions}
ended=$(mktemp -d)
trap 'rm -rf "$ended"' EXIT

fail() {
    printf 'make install: %s\n' "$1" >&2
    exit 1
}

# All files, each as "mode source target". Units are templates.
files() {
    for program in server client pki; do
        echo "755 $programs/$program $PREFIX/bin/loteria-$program"
    done
    for path in "$manual"/man/*; do echo "644 $path $PREFIX/share/man/man1/${path##*/}"; done
    for path in "$manual"/bash/*; do
        echo "644 $path $PREFIX/share/bash-completion/completions/${path##*/}"
    done
    for path in "$manual"/zsh/*; do echo "644 $path $PREFIX/$ZSHDIR/${path##*/}"; done
    for path in "$manual"/fish/*; do
        echo "644 $path $PREFIX/share/fish/vendor_completions.d/${path##*/}"
    done
    for path in "$here"/systemd/loteria-*; do
        echo "644 $path $PREFIX/lib/systemd/system/${path##*/}"
    done
    echo "644 $here/sysusers/loteria.conf $PREFIX/lib/sysusers.d/loteria.conf"
}

# Configuration, in the same form: the operator's as soon as it is there.
configuration() {
    for path in "$here"/etc/*; do echo "644 $path $SYSCONFDIR/loteria/${path##*/}"; done
}

# A file as it is installed: paths in units are those of this installation.
rendered() {
    case $1 in
        "$here"/systemd/*)
            sed -e "/^@hardening@\$/{r $here/systemd/hardening.conf
d
}" -e "s|@bindir@|$PREFIX/bin|; s|@sysconfdir@|$SYSCONFDIR|" "$1" > "$ended/unit"
            echo "$ended/unit"
            ;;
        *) echo "$1" ;;
    esac
}

put() {
    mkdir -p "$DESTDIR${3%/*}"
    # In place of the file, not into it: a program that runs keeps its own.
    cp "$(rendered "$2")" "$DESTDIR$3.new" && chmod "$1" "$DESTDIR$3.new"
    mv -f "$DESTDIR$3.new" "$DESTDIR$3"
}

install_all() {
    for made in "$programs/server" "$programs/client" "$programs/pki" "$manual/man"; do
        [ -e "$made" ] || fail "there is no $made: run make build man first"
    done
    files | while read -r mode source target; do put "$mode" "$source" "$target"; done
    configuration | while read -r mode source target; do
        if [ -e "$DESTDIR$target" ]; then
            echo "$target is kept"
        else
            put "$mode" "$source" "$target"
        fi
    done
    [ -n "$DESTDIR" ] || echo "next: systemd-sysusers; systemctl daemon-reload; look at \
$SYSCONFDIR/loteria/server.ini; systemctl enable --now loteria-server.socket loteria-server.service"
}

uninstall_all() {
    files | while read -r _ _ target; do rm -f "$DESTDIR$target"; done
    configuration | while read -r _ source target; do
        if cmp -s "$source" "$DESTDIR$target"; then
            rm -f "$DESTDIR$target"
        elif [ -e "$DESTDIR$target" ]; then
            echo "$target is kept: it was changed"
        fi
    done
    rmdir "$DESTDIR$SYSCONFDIR/loteria" 2> /dev/null || true
    [ -n "$DESTDIR" ] || echo "the users loteria and loteria-agency and their files in /var/lib are kept"
}

case ${1:-} in
    install) install_all ;;
    uninstall) uninstall_all ;;
    *) fail "expected install or uninstall, found '${1:-}'" ;;
esac
