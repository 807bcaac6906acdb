#!/bin/sh
# What deploy/Dockerfile does in its build stage, for $TARGETARCH: scripts/image-build.sh prepare | build
set -eu

case "${TARGETARCH:-}" in
amd64) cpu=x86_64 package=x86-64 ;;
arm64) cpu=aarch64 package=aarch64 ;;
*)
    echo "flotilla: the image is made for amd64 and arm64, not for '${TARGETARCH:-}'" >&2
    exit 1
    ;;
esac
target=$cpu-unknown-linux-gnu

# Compilers; and what tells what a build is made of, compiled cheaply, as it runs for a second.
prepare() {
    # For another architecture than this one: its C compiler, as some of the cryptography is C, and
    # Rust's own library.
    if [ "$(rustc -vV | sed -n 's/^host: //p')" != "$target" ]; then
        apt-get update
        apt-get install --yes --no-install-recommends "gcc-$package-linux-gnu" "libc6-dev-$TARGETARCH-cross"
        rm -rf /var/lib/apt/lists/*
        rustup target add "$target"
    fi
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        cargo install --locked --root /sbom-tool cargo-cyclonedx --version 0.5.9
}

# Leaves /programs and /sbom. The same commit, at $SOURCE_DATE_EPOCH, makes the same files.
build() {
    variable=$(echo "CARGO_TARGET_${target}_LINKER" | tr 'a-z-' 'A-Z_')
    # A program is found by the same name on its own architecture.
    env "$variable=$cpu-linux-gnu-gcc" \
        cargo build --locked --profile dist --target "$target" --bin flotilla --bin flotilla-pdf
    mkdir /programs /sbom
    cp "target/$target/dist/flotilla" "target/$target/dist/flotilla-pdf" /programs/
    for service in gateway stats scraping query embedding batch maintenance bridge; do
        ln -s flotilla "/programs/flotilla-$service"
    done
    PATH="/sbom-tool/bin:$PATH" cargo cyclonedx --manifest-path services/flotilla/Cargo.toml --format json \
        --spec-version 1.5 --target "$target" --no-build-deps --override-filename flotilla.cdx
    mv services/flotilla/flotilla.cdx.json /sbom/
    find /programs /sbom -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" '{}' +
}

"$1"
