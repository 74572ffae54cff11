#!/bin/bash
# Makes the delivery branches: ej1 to ej8, each main and one commit that sets docker/mode to what
# the exercise is about, so that its plain `./generar-compose.sh FILE N` does what it asks for.
#
# Work tree, index and main stay as they are. A branch that is up to date is left alone; one that
# holds anything else of its own isn't overwritten.

# `sh branches.sh` may be another shell.
if [ -z "${BASH_VERSION:-}" ]; then exec bash "$0" "$@"; fi
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"

mode_of() {
    case $1 in
        ej[1-4]) echo echo ;;
        ej5) echo apuesta ;;
        *) echo loteria ;;
    esac
}

fail() {
    echo "branches.sh: $1" >&2
    exit 1
}

# The tree of main with another docker/mode.
tree_with_mode() {
    local blob
    blob=$(echo "$1" | git hash-object -w --stdin)
    GIT_INDEX_FILE=$index git read-tree main
    GIT_INDEX_FILE=$index git update-index --add --cacheinfo "100644,$blob,docker/mode"
    GIT_INDEX_FILE=$index git write-tree
}

# Whether a branch is some commit of main and one that changes at most docker/mode.
is_ours() {
    git merge-base --is-ancestor "$1^" main 2> /dev/null &&
        git diff --quiet "$1^" "$1" -- . ':!docker/mode'
}

make_branch() {
    local branch=$1 mode tree commit
    mode=$(mode_of "$branch")
    tree=$(tree_with_mode "$mode")
    if git rev-parse -q --verify "refs/heads/$branch" > /dev/null; then
        if [ "$(git rev-parse "$branch^{tree}" "$branch^")" = "$tree"$'\n'"$(git rev-parse main)" ]; then
            echo "$branch: up to date ($mode)"
            return
        fi
        [ "$(git symbolic-ref -q --short HEAD)" != "$branch" ] || fail "$branch is checked out"
        is_ours "$branch" || fail "$branch holds something else than main and docker/mode"
    fi
    commit=$(git commit-tree "$tree" -p main \
        -m "Deliver exercise ${branch#ej}: the generator's mode is $mode")
    git update-ref "refs/heads/$branch" "$commit"
    echo "$branch: made ($mode)"
}

git rev-parse -q --verify refs/heads/main > /dev/null || fail "there is no branch main"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
index=$folder/index
for number in 1 2 3 4 5 6 7 8; do
    make_branch "ej$number"
done
