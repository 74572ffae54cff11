#!/bin/sh
# `docker compose`, or `docker-compose` on a machine that has only that:
#   docker/compose.sh FILE ARGUMENT...
set -eu
file=$1
shift

if docker compose version >/dev/null 2>&1; then
    exec docker compose -f "$file" "$@"
fi
case $(docker-compose version --short) in
    1.*) ;;
    *) exec docker-compose -f "$file" "$@" ;;
esac
# Version 1 takes the project's name on the command line alone, and always makes a folder of a missing
# file. The plain file lies beside the original, because paths in it are relative.
plain=$(dirname "$file")/.compose-$$.yaml
trap 'rm -f "$plain"' EXIT
sed -e '/^name: tp0$/d' -e '/^        bind:$/d' -e '/^          create_host_path:/d' "$file" > "$plain"
docker-compose -p tp0 -f "$plain" "$@"
