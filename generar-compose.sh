#!/usr/bin/env bash
# Writes a Docker Compose file with the central and N agencies.
#
#   ./generar-compose.sh FILE N [MODE]
#
# N     agencies, 0 to 10000; with 0 there is the central alone
# MODE  echo, apuesta or loteria; without it TP0_MODE, without that what docker/mode says
#
# The file belongs into the repository's root: its paths are relative to where it stands. Nothing is
# written unless all arguments are good. Needs bash 3.2 and nothing else.
set -euo pipefail

readonly MOST_AGENCIES=10000   # what the central takes, see SERVER_AGENCIES
readonly SMALL_SUBNET=172.25.125.0/24 SMALL_SUBNET_AGENCIES=250
readonly LARGE_SUBNET=172.25.0.0/16   # for more agencies than the small one has addresses
# Whoever reads the merged logs begins late: see "Reading the logs" in the README.
readonly ANNOUNCE_AFTER=3s EXIT_DELAY=1s

fail() {
    printf 'generar-compose.sh: %s\nusage: %s FILE N [echo|apuesta|loteria]\n' "$1" "$0" >&2
    exit 1
}

default_mode() {
    local mode=${TP0_MODE:-} tracked
    tracked="$(dirname "${BASH_SOURCE[0]}")/docker/mode"
    if [ -z "$mode" ] && [ -r "$tracked" ]; then
        read -r mode < "$tracked" || true
    fi
    printf '%s' "$mode"
}

# A file that must exist when the system comes up: Docker would make a folder in its place.
mounted() {
    printf '      - type: bind\n        source: %s\n        target: %s\n' "$1" "$2"
    printf '        read_only: true\n        bind:\n          create_host_path: false\n'
}

server() {
    cat <<END
  server:
    container_name: server
    image: server:latest
    environment:
      - SERVER_AGENCIES=$1
    volumes:
$(mounted ./server/config.ini /lottery/config.ini)
    networks:
      - testing_net
END
}

# A bet of its own for each agency; that of the first one wins.
bet() {
    local names=("Santiago Lionel" "Camila" "Joaquín" "Lucía" "Mateo")
    local last_names=("Lorca" "Varela" "Ibáñez" "Ponce" "Quiroga")
    cat <<END
      - NOMBRE=${names[($1 - 1) % 5]}
      - APELLIDO=${last_names[($1 - 1) % 5]}
      - DOCUMENTO=$((30904464 + $1))
      - NACIMIENTO=1999-03-17
      - NUMERO=$((7573 + $1))
END
}

client() {
    local id=$1 mode=$2
    cat <<END
  client$id:
    container_name: client$id
    image: client:latest
    environment:
      - CLI_ID=$id
      - CLI_MODE=$mode
      - CLI_ANNOUNCE_AFTER=$ANNOUNCE_AFTER
      - CLI_EXIT_DELAY=$EXIT_DELAY
END
    if [ "$mode" = apuesta ]; then bet "$id"; fi
    printf '    volumes:\n'
    mounted ./client/config.yaml /lottery/config.yaml
    if [ "$mode" = loteria ]; then
        mounted "./.data/agency-$id.csv" "/lottery/.data/agency-$id.csv"
    fi
    printf '    networks:\n      - testing_net\n    depends_on:\n      - server\n'
}

network() {
    local subnet=$SMALL_SUBNET
    if [ "$1" -gt "$SMALL_SUBNET_AGENCIES" ]; then subnet=$LARGE_SUBNET; fi
    cat <<END
networks:
  testing_net:
    ipam:
      driver: default
      config:
        - subnet: $subnet
END
}

compose() {
    local agencies=$1 mode=$2 id
    printf 'name: tp0\nservices:\n'
    server "$agencies"
    for ((id = 1; id <= agencies; id++)); do
        printf '\n'
        client "$id" "$mode"
    done
    printf '\n'
    network "$agencies"
}

if [ $# -lt 2 ] || [ $# -gt 3 ]; then fail "expected 2 or 3 arguments, found $#"; fi
file=$1 agencies=$2 mode=${3:-$(default_mode)}
if [ -z "$file" ]; then fail "FILE is empty"; fi
if [ -d "$file" ]; then fail "FILE is a folder: $file"; fi
case $agencies in
    *[!0-9]* | '') fail "N: expected a number, 0 to $MOST_AGENCIES, found '$agencies'" ;;
esac
agencies=$(printf '%s' "$agencies" | sed 's/^0*\(.\)/\1/')
if [ ${#agencies} -gt 5 ] || [ "$agencies" -gt "$MOST_AGENCIES" ]; then
    fail "N: expected a number, 0 to $MOST_AGENCIES, found '$agencies'"
fi
case $mode in
    echo | apuesta | loteria) ;;
    *) fail "MODE: expected echo, apuesta or loteria, found '$mode'" ;;
esac
text=$(compose "$agencies" "$mode")
if ! printf '%s\n' "$text" > "$file"; then fail "can't write $file"; fi
