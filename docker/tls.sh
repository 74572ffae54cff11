#!/bin/sh
# What a lottery over TLS needs beside a generated compose file: docker/tls.sh FILE [PKI_ARGUMENT...]
#
#   .tls/authority                 the authority of `pki`, which no container of the lottery sees
#   .tls/server, .tls/agency-N     what one program needs: its container mounts this folder alone.
#                                  Several centrals have one certificate, with the names of all
#   .tls/compose.yaml              put on top of FILE, mounts these folders and sets TLS
#
# What is there is kept: the same authority for each lottery, a certificate for each agency that has none.
# Copies are made anew each time, and the revocation list once a week. With more arguments it does what
# they ask `pki` for before: docker/tls.sh FILE revoke .tls/authority/agency-2.pem
#
# A key is its owner's alone, and the programs run as a user of their own: the copies are that user's.
# Compose's secrets can't do that: from a file they are mounted as they are, whatever their uid says.
# Folders are mounted and not files, because a file that is replaced stays the old one for a container.
set -eu

OWNER=65532:65532 # as in the images
MOUNTED=/lottery/tls
file=$1
shift
tls=$(cd "$(dirname "$file")" && pwd)/.tls
agencies=$(grep -c '^    container_name: client' "$file" || true)
centrals=$(sed -n 's/^    container_name: \(server[0-9]*\)$/\1/p' "$file")

# Runs pki as a user: pki USER ARGUMENT...
pki() {
    user=$1
    shift
    docker run --rm --network none --user "$user" -v "$tls:/lottery/.tls" pki:latest \
        --dir .tls/authority "$@"
}

# As the user who calls this: the authority is theirs.
issue() { pki "$(id -u):$(id -g)" "$@"; }

numbers() { seq "$agencies"; }

without_certificate() {
    numbers | while read -r agency; do
        [ -e "$tls/authority/agency-$agency.pem" ] || echo "$agency"
    done
}

# Whether a certificate was issued that has the names of all centrals.
names_all() {
    for central in $centrals; do
        grep -q "^[^,]*,server,\([^,]* \)\{0,1\}$central[ ,]" "$tls/authority/issued.csv" || return 1
    done
}

make_authority() {
    mkdir -p "$tls/authority"
    [ -e "$tls/authority/ca.pem" ] || issue init
    if [ -e "$tls/authority/server.pem" ] && ! names_all; then
        # Made for fewer centrals. It stays valid: it names none but ours.
        for kind in pem key; do
            mv "$tls/authority/server.$kind" "$tls/authority/server.old.$kind"
        done
    fi
    # shellcheck disable=SC2086  # several centrals are several words
    [ -e "$tls/authority/server.pem" ] || issue server $centrals localhost
    # shellcheck disable=SC2046  # several numbers are several words
    [ -z "$(without_certificate)" ] || issue agency $(without_certificate) > /dev/null
    [ -z "$(find "$tls/authority/crl.pem" -mtime +6)" ] || issue crl
}

# Root may give files away, and in a container everybody who may start one is root.
make_copies() {
    (cd "$tls" && { echo server; numbers | sed 's/^/agency-/'; } | xargs mkdir -p)
    # shellcheck disable=SC2046
    pki 0:0 install --to .tls --owner "$OWNER" server $(numbers) > /dev/null
}

# The volumes of a service: its folder.
mounted() {
    printf '    volumes:\n      - type: bind\n        source: ./.tls/%s\n' "$1"
    printf '        target: %s\n        read_only: true\n' "$MOUNTED"
}

override() {
    printf '# Written by docker/tls.sh. Put on top of a generated file, the lottery is over TLS.\nservices:\n'
    for central in $centrals; do
        printf '  %s:\n    environment:\n      - SERVER_TLS=required\n' "$central"
        printf '      - SERVER_TLS_CERT=%s/server.pem\n      - SERVER_TLS_KEY=%s/server.key\n' $MOUNTED $MOUNTED
        printf '      - SERVER_TLS_CLIENT_CA=%s/ca.pem\n      - SERVER_TLS_CRL=%s/crl.pem\n' $MOUNTED $MOUNTED
        mounted server
    done
    numbers | while read -r agency; do
        own=$MOUNTED/agency-$agency
        printf '\n  client%s:\n    environment:\n      - CLI_TLS=on\n' "$agency"
        printf '      - CLI_TLS_CA=%s/ca.pem\n      - CLI_TLS_CRL=%s/crl.pem\n' $MOUNTED $MOUNTED
        printf '      - CLI_TLS_CERT=%s.pem\n      - CLI_TLS_KEY=%s.key\n' "$own" "$own"
        mounted "agency-$agency"
    done
}

make_authority
[ $# -eq 0 ] || issue "$@"
make_copies
override > "$tls/compose.yaml"
