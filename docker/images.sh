#!/bin/sh
# Builds the images server:latest, client:latest, dataset:latest and pki:latest, or those that are named,
# each as NAME:FOLDER, with BUILD_ARGUMENTS of the environment. Where the image that they are made from is neither on this machine nor to be pulled,
# it says what can be done.
set -eu
cd "$(dirname "$0")/.."

base=$(sed -n 's/^FROM \([^ ]*\) AS builder$/\1/p' server/Dockerfile)

has_base() {
    docker image inspect "$base" > /dev/null 2>&1 && return
    echo "pulling $base"
    docker pull -q "$base" > /dev/null 2>&1
}

if ! has_base; then
    echo "make docker-image: there is no $base on this machine, and no registry to pull it from: \
make docker-base-images makes one (as root, on Debian)" >&2
    exit 1
fi
[ $# -gt 0 ] || set -- server:server client:client dataset:client/load pki:server/pki
for image; do
    name=${image%:*} folder=${image#*:}
    echo "building $name:latest"
    # shellcheck disable=SC2086  # several arguments are several words
    docker build ${BUILD_ARGUMENTS:-} -f "./$folder/Dockerfile" -t "$name:latest" .
done
