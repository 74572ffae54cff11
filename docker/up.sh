#!/bin/sh
# Starts what a generated compose file describes: docker/up.sh FILE [-f OTHER] -- DATASET_ARGUMENT...
#
# Says which file that is and which mode, makes the files of bets that are missing, and starts nothing
# when the containers' user couldn't read what is mounted.
set -eu

fail() {
    printf 'make docker-compose-up: %s\n' "$1" >&2
    exit 1
}

SHOWN=10 # of the files that can't be used
here=$(dirname "$0") file=$1 others=
shift
while [ "$1" != -- ]; do
    others="$others $1"
    shift
done
shift

agencies=$(grep -c '^    container_name: client' "$file" || true)
mode=$(sed -n 's/^ *- CLI_MODE=//p' "$file" | sort -u | tr '\n' ' ')
mode=${mode% }
printf '%s: mode %s, agencies: %s (for others: ./generar-compose.sh %s N MODE)\n' \
    "$file" "${mode:-none}" "$agencies" "$file"

if [ -n "${DATASET_AGENCIES:-}" ] && [ "$DATASET_AGENCIES" != "$agencies" ]; then
    fail "DATASET_AGENCIES=$DATASET_AGENCIES, but $file has $agencies agencies: \
./generar-compose.sh $file $DATASET_AGENCIES"
fi

# Files of the host that the containers see, each ended by a NUL.
mounted() {
    folder=$(dirname "$file")
    sed -n 's/^        source: //p' "$file" | sort -u | sed "s/^'\(.*\)'\$/\1/" |
        while IFS= read -r path; do
            case $path in
                /*) printf '%s\0' "$path" ;;
                ./*) printf '%s\0' "$folder/${path#./}" ;;
            esac
        done
}

# Which of these files can't be used, and why: programs run as a user of their own, and a umask of 077
# keeps others from reading a file.
# shellcheck disable=SC2016  # these are the inner shell's variables
problems() {
    xargs -0 sh -c '
        for path; do [ -e "$path" ] || { echo "$path is missing"; exit; }; done
        find -L "$@" -prune ! -perm -004 -print | sed "s/.*/& may not be read by the user \
that containers run as: chmod o+r &/"
    ' problems | sed -n "1,${SHOWN}p"
}

if grep -q '^    image: etcd:latest$' "$file"; then "$here/images.sh" etcd:docker/etcd; fi
if [ "$mode" = loteria ]; then
    docker run --rm --user "$(id -u):$(id -g)" -v "$(cd "$here/.." && pwd)/.data:/lottery/.data" \
        dataset:latest --agencies "$agencies" "$@"
fi
found=$(mounted | problems)
[ -z "$found" ] || fail "$found"
# shellcheck disable=SC2086  # several arguments are several words
exec "$here/compose.sh" "$file" $others up -d
