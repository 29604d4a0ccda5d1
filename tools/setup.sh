#!/bin/sh
# Makes .venv and installs the extras of a profile, once per content of pyproject.toml and constraints.txt.
# usage: tools/setup.sh demo|all
set -eu

profile=${1:?profile: demo or all}
cd "$(dirname "$0")/.."
venv=.venv

case $profile in
    demo) extras=ml torch= ;;
    all) extras=ml,aws,data,serve,postgres,otel,ray,plan,plots,dev torch=torch,onnxscript ;;
    *) echo "setup: unknown profile '$profile': it is demo or all" >&2; exit 2 ;;
esac

main() {
    find_python
    key=$(stamp_key)
    if is_done "$profile" || is_done all; then return; fi
    [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.skylift-root" 2>/dev/null || pwd)" = "$(pwd)" ] || make_venv
    pwd > "$venv/.skylift-root"
    echo "setup: installing extras for '$profile' into $venv"
    install_torch
    install "-e" ".[$extras]"
    echo "$key" > "$venv/.skylift-$profile"
}

# The first Python that is new enough and, if possible, not newer than the pinned wheels.
find_python() {
    if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$venv/bin/python
        return
    fi
    for python in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && return
    done
    for python in python3 python3.14 python3.15; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    echo "setup: Python 3.11 or newer is missing (found: $(python3 -V 2>/dev/null || echo none)); install it, or name it: make PYTHON=/path/to/python3" >&2
    exit 1
}

stamp_key() {
    "$python" -c 'import hashlib, pathlib, sys
content = b"".join(pathlib.Path(name).read_bytes() for name in ("pyproject.toml", "constraints.txt", "tools/setup.sh"))
print(hashlib.sha256(content + str(pathlib.Path.cwd()).encode()).hexdigest())'
}

is_done() {
    [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.skylift-$1" 2>/dev/null)" = "$key" ]
}

make_venv() {
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "setup: the venv module of $python is missing; install it (Debian, Ubuntu: apt install python3-venv)" >&2
        exit 1
    fi
    "$python" -m venv --clear "$venv"
    # uv only makes it faster: without it pip does the same.
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv 2>/dev/null || true
}

# By pip: on some machines torch comes from a place that only pip is told about.
install_torch() {
    [ -z "$torch" ] && return
    wanted=$(grep -E "^($(echo "$torch" | tr ',' '|'))==" constraints.txt)
    # shellcheck disable=SC2086  # one word per requirement
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt $wanted
}

install() {
    if [ -x "$venv/bin/uv" ] && VIRTUAL_ENV="$PWD/$venv" "$venv/bin/uv" pip install --quiet -c constraints.txt "$@"; then
        return
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt "$@"
}

main
