#!/bin/sh
# Whether the server on the network tp0_testing_net echoes what it is sent:
#   action: test_echo_server | result: success    (exit code 0)
#   action: test_echo_server | result: fail       (exit code 1)
#
# A container that is thrown away asks with netcat: nothing is installed here, no port is published.
set -eu

usage() {
    cat <<END
usage: $0

Asks the server on the network tp0_testing_net for an echo, from a container that is thrown away.
Prints one of these lines, and ends with its exit code:
  action: test_echo_server | result: success    (exit code 0)
  action: test_echo_server | result: fail       (exit code 1)
What can be done about a failure, standard error says.
END
}

case ${1:-} in
    -h | --help)
        usage
        exit
        ;;
esac
if [ $# -gt 0 ]; then
    printf 'validar-echo-server.sh: expected no argument, found %s\n' "$1" >&2
    usage >&2
    exit 2
fi

config="$(dirname "$0")/server/config.ini"
port=$(sed -n 's/^[[:space:]]*SERVER_PORT[[:space:]]*[=:][[:space:]]*\([0-9]\{1,5\}\).*/\1/p' \
    "$config" 2>/dev/null | tail -n 1)
message="validar-echo-server $$ $(date +%s)"

# Runs in the container. Some servers close after their answer, some never do, and some answer only
# when nothing more can come: so the sending side is closed after two seconds, and the answer is
# complete with its newline or with the end of the connection, whichever is first. Five seconds in all.
# shellcheck disable=SC2016  # these are the container's variables
ask='
    : > /tmp/answer; : > /tmp/error
    { printf "%s\n" "$1"; sleep 2; } | nc server "$2" > /tmp/answer 2> /tmp/error &
    waited=0
    while [ "$waited" -lt 50 ] && [ "$(wc -l < /tmp/answer)" -eq 0 ] && kill -0 $! 2> /dev/null; do
        sleep 0.1
        waited=$((waited + 1))
    done
    cat /tmp/error >&2
    answer=$(cat /tmp/answer)
    if [ "$answer" = "$1" ]; then exit; fi
    if [ -n "$answer" ]; then
        printf "validar-echo-server.sh: the server answered %s\n" "$answer" | head -c 300 >&2
    fi
    exit 1
'

# What a person can do about an answer that can't come; the verdict is the same.
explain() {
    if ! docker info > /dev/null 2>&1; then
        echo "validar-echo-server.sh: no Docker daemon answers"
    elif ! docker network inspect tp0_testing_net > /dev/null 2>&1; then
        echo "validar-echo-server.sh: there is no network tp0_testing_net: start the system first"
    elif ! docker image inspect busybox:latest > /dev/null 2>&1 &&
        ! docker pull -q busybox:latest > /dev/null 2>&1; then
        echo "validar-echo-server.sh: there is no image busybox:latest, and no registry to pull it \
from: make docker-base-images"
    else
        return 1
    fi
}

if explain >&2; then
    echo "action: test_echo_server | result: fail"
    exit 1
elif docker run --rm --network tp0_testing_net busybox:latest \
    sh -c "$ask" ask "$message" "${port:-12345}"; then
    echo "action: test_echo_server | result: success"
else
    echo "action: test_echo_server | result: fail"
    exit 1
fi
