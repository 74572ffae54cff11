#!/bin/sh
# Builds the image of a Prometheus that scrapes all centrals of a generated compose file:
# docker/monitoring.sh FILE
set -eu
centrals=$(sed -n 's/^    container_name: \(server[0-9]*\)$/\1/p' "$1" | paste -sd, -)
BUILD_ARGUMENTS="--build-arg=CENTRALS=$centrals"
export BUILD_ARGUMENTS
exec "$(dirname "$0")/images.sh" prometheus:docker/prometheus
