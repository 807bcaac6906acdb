# Run as ./just, which brings its own `just`; an installed one works as well.

set positional-arguments
set ignore-comments

tools := env("FLOTILLA_TOOLS_DIR", justfile_directory() / ".tools")

export FLOTILLA_TOOLS_DIR := tools
export PATH := tools / "bin:" + env("PATH")

[private]
default:
    @just --justfile "{{ justfile() }}" --list --unsorted

# Build and run the whole fleet in one process, with a nats-server of its own
[no-exit-message]
up *args: (tool "nats-server")
    # flotilla-pdf reads PDF files for the fleet, from beside it.
    @cargo build --release --bin flotilla --bin flotilla-pdf
    @FLOTILLA_MODEL_DIR="${FLOTILLA_MODEL_DIR-$(scripts/model.sh --optional)}" exec cargo run --release --bin flotilla -- up "$@"

# Run each service as a process of its own, against the server at NATS_URL
[no-exit-message]
services *args:
    @exec scripts/services.sh "$@"

# Run Jaeger, and the whole fleet, which tells it of every task; arguments go to `flotilla up`
[no-exit-message]
jaeger *args: (tool "nats-server") (tool "jaeger")
    @exec scripts/jaeger.sh "$@"

# Run all tests that need a nats-server and nothing else; arguments go to `cargo test`
test *args: (tool "nats-server")
    # The integration tests start the service binaries, which `cargo test` alone would not build.
    # --tests keeps the features of both builds the same: otherwise much is compiled twice.
    cargo build --workspace --bins --tests
    case " $* " in *" -- "*) ;; *) set -- "$@" -- ;; esac; cargo test --workspace "$@" --skip dependencies:: --skip with_jaeger::

# Run the tests against real dependencies, fetched where they are missing: a Chromium, a ChromaDB, the embedding model
test-dependencies *args: (tool "nats-server") (tool "chromadb")
    scripts/chromium.sh
    FLOTILLA_MODEL_DIR="${FLOTILLA_MODEL_DIR-$(scripts/model.sh)}" cargo test -p flotilla-minilm -p flotilla-eval -p flotilla-tests --lib --test model --test fleet dependencies:: "$@"

# Run the tests of traces against a real Jaeger, built from its Go module where there is none
test-jaeger *args: (tool "nats-server") (tool "jaeger")
    cargo build --workspace --bins --tests
    cargo test --workspace --test fleet with_jaeger:: "$@"

# Build the container image of all services: docker, podman or buildah; --platform linux/amd64,linux/arm64, --tag, --push
[no-exit-message]
image *args:
    @scripts/image.sh "$@"

# Check what is in deploy/ for containers: the compose file, the image, that they agree; and that a backup comes back
test-deploy: (tool "docker-compose") (tool "hadolint") (tool "jaeger") (tool "nats") (tool "prometheus") (tool "nats-server")
    scripts/test-deploy.sh

# Check the Helm chart: lint, schemas, each example, and what must be refused; arguments go to Python's unittest
[no-exit-message]
test-helm *args: (tool "nats-server") (tool "helm") (tool "kubeconform") (tool "pyyaml")
    scripts/test-helm.sh "$@"

# Install, change and remove the chart on a real control plane of Kubernetes, built from its Go module where there is none; arguments go to unittest
[no-exit-message]
test-kubernetes *args: (tool "helm") (tool "kubernetes") (tool "etcd") (tool "kwok")
    scripts/test-kubernetes.sh "$@"

# Run the chart on two real nodes in namespaces, with containers, and change it under load; needs root, containerd and runc; arguments go to unittest
[no-exit-message]
test-kubernetes-node *args: (tool "helm") (tool "kubernetes") (tool "etcd") (tool "coredns") (tool "pause") (tool "nats-server")
    scripts/test-kubernetes-node.sh "$@"

# Hold the HTTP API against its own description: Schemathesis, on a fleet of its own; arguments go to it
[no-exit-message]
test-api *args: (tool "nats-server") (tool "schemathesis")
    scripts/test-api.sh "$@"

# Have the official parser read the wire contract's AsyncAPI document
[no-exit-message]
test-protocol *args:
    scripts/test-protocol.sh "$@"

# Write the wire contract's documents anew, from the types: deploy/protocol
protocol:
    cargo run --bin flotilla -- protocol deploy/protocol

# Hold metrics, alerts and Grafana's dashboards against each other: promtool, a Prometheus that scrapes a fleet of its own, and one that it pushes to
[no-exit-message]
test-metrics: (tool "nats-server") (tool "promtool") (tool "prometheus")
    scripts/test-metrics.sh

# Run the dashboard's tests in a real Chromium; FLOTILLA_SCREENSHOTS=dir keeps a picture of each
test-dashboard *args: (tool "nats-server") (tool "playwright")
    scripts/test-dashboard.sh "$@"

# Hold the fleet against tests/clients with the real client libraries: python node go java shell, or those that are named; --without java, --case TEXT
[no-exit-message]
test-clients *args: (tool "nats-server")
    scripts/test-clients.sh "$@"

# Write anew what of the Helm chart is made from elsewhere, and the manifests that are rendered from it
chart: (tool "helm") (tool "pyyaml")
    pyyaml scripts/chart.py

# Fetch the embedding model and print where it is; from FLOTILLA_MODEL_HUB where that is set
model:
    @scripts/model.sh

# Run a ChromaDB of one's own: ./just chromadb run --path .chroma --port 8000
[no-exit-message]
[private]
chromadb *args: (tool "chromadb")
    @exec chromadb "$@"

# Formatting, lints, documentation and dependencies, with warnings denied
check: (tool "cargo-deny")
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
    cargo-deny --locked check licenses bans sources

# Measure the fleet and tell it in one table: a few minutes, `all` for everything, or sections by name; --quick, --json, --help
[no-exit-message]
bench *args: (tool "nats-server")
    @exec scripts/bench.sh "$@"

# Measure other task queues doing the same work: bullmq celery asynq, or those that are named; needs redis-server, Node.js and Go
[no-exit-message]
bench-peers *args: (tool "nats-server")
    @exec tests/bench-peers/run.py "$@"

# Measure how good answers are and how well pages are read, `extraction` the latter only; --wrong lists what went wrong, --fit fits the confidence
[no-exit-message]
eval *args:
    @case "${1-}" in "" | extraction) cargo test --quiet -p flotilla-scraping --test web extraction -- --nocapture ;; esac
    @[ "${1-}" = extraction ] || FLOTILLA_MODEL_DIR="${FLOTILLA_MODEL_DIR-$(scripts/model.sh --optional)}" exec cargo run --release -p flotilla-eval -- "$@"

# Format the code
fmt:
    cargo fmt --all

[private]
tool name:
    @scripts/tool.sh "$1"
