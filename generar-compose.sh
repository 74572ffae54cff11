#!/usr/bin/env bash
# Writes a Docker Compose file with the central and N agencies: `./generar-compose.sh --help`.
#
# Nothing is written unless all arguments are good, and FILE is whole or as it was. Needs bash 3.2 and
# POSIX tools.

# `sh generar-compose.sh` may be another shell, which understands nothing of what follows.
if [ -z "${BASH_VERSION:-}" ]; then exec bash "$0" "$@"; fi
set -euo pipefail

readonly MOST_AGENCIES=10000   # what the central takes, see SERVER_AGENCIES
readonly SMALL_SUBNET=172.25.125.0/24 SMALL_SUBNET_AGENCIES=250
readonly LARGE_SUBNET=172.25.0.0/16   # for more agencies than the small one has addresses
# Readers of the merged logs begin late: see "Reading the logs" in docs/exercises.md.
readonly ANNOUNCE_DELAY=3s EXIT_DELAY=1s
readonly MOST_CENTRALS=9
readonly MEMBERS=3   # of etcd: one may fail
readonly DRAW=compose   # of several centrals; etcd's data ends with its containers
readonly USAGE="usage: $0 FILE N [MODE]"
readonly MARK="# Written by generar-compose.sh, which overwrites it."   # the first line of FILE

usage() {
    cat <<END
$USAGE

Writes a Docker Compose file with the central and N agencies.

  FILE  the file to write; elsewhere than in the repository's folder it has absolute paths in it.
        What exists is overwritten if its name ends in .yaml or .yml, or if this script wrote it
  N     agencies, 0 to $MOST_AGENCIES; with 0 there is the central alone
  MODE  echo, apuesta or loteria; without it TP0_MODE, without that what docker/mode says

With CENTRALS=3 in the environment, up to $MOST_CENTRALS, there are so many centrals, which keep the lottery in
an etcd of $MEMBERS members; 1 and nothing are one central with its ledger.
END
}

fail() {
    printf 'generar-compose.sh: %s\n%s\n' "$1" "$USAGE" >&2
    exit 1
}

# Sets the mode, and where it comes from: the first that says one.
choose_mode() {
    mode=$1 mode_origin=MODE
    if [ -n "$mode" ]; then return; fi
    mode=${TP0_MODE:-} mode_origin='TP0_MODE, of the environment'
    if [ -n "$mode" ]; then return; fi
    mode_origin="$repository/docker/mode"
    if [ -r "$mode_origin" ]; then IFS=$' \t\r' read -r mode < "$mode_origin" || true; fi
}

# How a file of the repository is named in FILE.
source_of() {
    if [ "$base" = . ]; then
        printf './%s' "$1"
        return
    fi
    local path=$base/$1 quote="'"
    path=${path//$quote/$quote$quote}
    printf "'%s'" "${path//\$/\$\$}"
}

# A file that must exist when the system comes up: Docker would make a folder in its place.
mounted() {
    printf '      - type: bind\n        source: '
    source_of "$1"
    printf '\n        target: /lottery/%s\n' "$2"
    printf '        read_only: true\n        bind:\n          create_host_path: false\n'
}

# Without TLS on a network that nobody else is on: the central needn't warn of that. What watches the
# central is on that network too, and calls it by its name.
server() {
    local agencies=$1 name=$2
    printf '  %s:\n    container_name: %s\n    image: server:latest\n' "$name" "$name"
    printf '    environment:\n      - SERVER_AGENCIES=%s\n' "$agencies"
    if [ "$centrals" -gt 1 ]; then
        printf '      - SERVER_STORE=etcd\n      - SERVER_DRAW=%s\n' "$DRAW"
        printf '      - SERVER_ETCD_ENDPOINTS=%s\n' "$(members NAME:2379)"
    fi
    printf '      - SERVER_PLAINTEXT_WARNING=false\n'
    printf '      - SERVER_ADMIN_ADDRESS=0.0.0.0:8080\n      - SERVER_ADMIN_HOSTS=%s\n' "$name"
    printf '    volumes:\n'
    mounted server/config.ini config.ini
    printf '    networks:\n      - testing_net\n'
    if [ "$centrals" -gt 1 ]; then
        printf '    depends_on:\n'
        local index
        for ((index = 1; index <= MEMBERS; index++)); do
            printf '      etcd%s:\n        condition: service_healthy\n' "$index"
        done
    fi
}

# All members of etcd, each as this says with NAME in place of its name, with commas between them.
members() {
    local index all=
    for ((index = 1; index <= MEMBERS; index++)); do
        all=$all,${1//NAME/etcd$index}
    done
    printf '%s' "${all#,}"
}

# The centrals' names, the first one's as when it is alone.
central_names() {
    local index
    printf 'server\n'
    for ((index = 2; index <= centrals; index++)); do printf 'server%s\n' "$index"; done
}

etcd_member() {
    local name=etcd$1
    printf '  %s:\n    container_name: %s\n    image: etcd:latest\n    command:\n' "$name" "$name"
    printf '      - --name=%s\n      - --initial-cluster=%s\n' "$name" "$(members NAME=http://NAME:2380)"
    printf '      - --initial-advertise-peer-urls=http://%s:2380\n' "$name"
    printf '      - --advertise-client-urls=http://%s:2379\n' "$name"
    printf '    networks:\n      - testing_net\n'
}

# A bet of its own for each agency; that of the first one wins.
bet() {
    local names=("Santiago Lionel" "Camila" "Joaquín" "Lucía" "Mateo")
    local last_names=("Lorca" "Varela" "Ibáñez" "Ponce" "Quiroga")
    printf '      - NOMBRE=%s\n      - APELLIDO=%s\n      - DOCUMENTO=%s\n' \
        "${names[($1 - 1) % 5]}" "${last_names[($1 - 1) % 5]}" "$((30904464 + $1))"
    printf '      - NACIMIENTO=1999-03-17\n      - NUMERO=%s\n' "$((7573 + $1))"
}

client() {
    local id=$1 mode=$2
    printf '  client%s:\n    container_name: client%s\n    image: client:latest\n' "$id" "$id"
    printf '    environment:\n      - CLI_ID=%s\n      - CLI_MODE=%s\n' "$id" "$mode"
    printf '      - CLI_ANNOUNCE_DELAY=%s\n      - CLI_EXIT_DELAY=%s\n' "$ANNOUNCE_DELAY" "$EXIT_DELAY"
    if [ "$centrals" -gt 1 ]; then
        printf '      - CLI_DRAW=%s\n      - CLI_SERVER_ADDRESS=%s\n' "$DRAW" \
            "$(central_names | sed 's/$/:12345/' | paste -sd, -)"
    fi
    if [ "$mode" = apuesta ]; then bet "$id"; fi
    printf '    volumes:\n'
    mounted client/config.yaml config.yaml
    if [ "$mode" = loteria ]; then
        mounted ".data/agency-$id.csv" ".data/agency-$id.csv"
    fi
    printf '    networks:\n      - testing_net\n    depends_on:\n'
    central_names | sed 's/^/      - /'
}

network() {
    local subnet=$SMALL_SUBNET
    if [ "$1" -gt "$SMALL_SUBNET_AGENCIES" ]; then subnet=$LARGE_SUBNET; fi
    printf 'networks:\n  testing_net:\n    ipam:\n      driver: default\n      config:\n'
    printf '        - subnet: %s\n' "$subnet"
}

compose() {
    local agencies=$1 mode=$2 id index
    printf '%s\nname: tp0\nservices:\n' "$MARK"
    server "$agencies" server
    if [ "$centrals" -gt 1 ]; then
        for ((index = 2; index <= centrals; index++)); do
            printf '\n'
            server "$agencies" "server$index"
        done
        for ((index = 1; index <= MEMBERS; index++)); do
            printf '\n'
            etcd_member "$index"
        done
    fi
    for ((id = 1; id <= agencies; id++)); do
        printf '\n'
        client "$id" "$mode"
    done
    printf '\n'
    network "$agencies"
}

# Writes the text into a file, at once; says why it can't.
put() {
    local error
    error=$({ printf '%s\n' "$text" > "$1"; } 2>&1) || fail "can't write $file: ${error##*: }"
}

# A file that holds something else is never lost: a compose file by its name or its first line is
# written anew (not one of the repository's own), an empty one holds nothing.
check_overwriting() {
    local target=$1 own first=
    for own in client/config.yaml docker/{persistent,persistent-etcd,monitoring,admin}.yaml \
        docker/prometheus/{prometheus,loteria.rules,loteria.test}.yaml; do
        if [ "$target" -ef "$repository/$own" ]; then fail "FILE is $own, which is no generated file"; fi
    done
    case $target in
        *.[Yy][Aa][Mm][Ll] | *.[Yy][Mm][Ll]) return ;;
    esac
    if [ ! -s "$target" ]; then return; fi
    if ! IFS= read -r first 2> /dev/null < "$target" || [ "$first" != "$MARK" ]; then
        fail "FILE exists and was not written by this script: $file; name another one, or remove it first"
    fi
}

# FILE gets its content when it is whole: a full disk leaves it as it was. A symbolic link stays one,
# and what isn't a regular file is written to. Standard output may be a file that has content already:
# opened by its name it would be cut off.
write() {
    local target=$file
    case $file in
        /dev/stdout | /dev/fd/1)
            printf '%s\n' "$text" || fail "can't write $file"
            return
            ;;
    esac
    if [ -L "$file" ] && [ "${file#/dev/}" = "$file" ]; then target=$(readlink -f -- "$file"); fi
    if [ "${file#/dev/}" != "$file" ] || { [ -e "$target" ] && [ ! -f "$target" ]; }; then
        printf '%s\n' "$text" > "$target" || fail "can't write $file"
        return
    fi
    check_overwriting "$target"
    if [ -e "$target" ] && [ ! -w "$target" ]; then fail "can't write $file: it is read-only"; fi
    unfinished=$(dirname -- "$target")/.generar-compose-$$.tmp
    put "$unfinished"
    mv -f -- "$unfinished" "$target" || fail "can't write $file"
}

unfinished=
trap 'if [ -n "$unfinished" ]; then rm -f -- "$unfinished"; fi' EXIT
repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
case ${1:-} in
    -h | --help)
        usage
        exit
        ;;
esac
if [ $# -lt 2 ] || [ $# -gt 3 ]; then fail "expected 2 or 3 arguments, found $#"; fi
file=$1 agencies=$2
choose_mode "${3:-}"
case $file in
    -*) file=./$file ;;
esac
if [ -z "$file" ]; then fail "FILE is empty"; fi
if [ -d "$file" ]; then fail "FILE is a folder: $file"; fi
folder=$(cd -- "$(dirname -- "$file")" 2> /dev/null && pwd -P) ||
    fail "can't write $file: there is no folder $(dirname -- "$file")"
base=.
if [ "$folder" != "$repository" ]; then base=$repository; fi
case $agencies in
    *[!0-9]* | '') fail "N: expected a number, 0 to $MOST_AGENCIES, found '$agencies'" ;;
esac
while [ "${#agencies}" -gt 1 ] && [ "${agencies#0}" != "$agencies" ]; do agencies=${agencies#0}; done
if [ ${#agencies} -gt 5 ] || [ "$agencies" -gt "$MOST_AGENCIES" ]; then
    fail "N: expected a number, 0 to $MOST_AGENCIES, found '$agencies'"
fi
centrals=${CENTRALS:-1}
case $centrals in
    [1-9]) ;;
    *) fail "CENTRALS, of the environment: expected a number, 1 to $MOST_CENTRALS, found '$centrals'" ;;
esac
if [ "$centrals" -gt 1 ] && [ "$agencies" -eq 0 ]; then
    fail "CENTRALS=$centrals: expected at least one agency, as a draw needs one, found none"
fi
case $mode in
    echo | apuesta | loteria) ;;
    *) fail "$mode_origin: expected echo, apuesta or loteria, found '$mode'" ;;
esac
text=$(compose "$agencies" "$mode")
write
