#!/usr/bin/env bash
# Builds the image of deploy/Dockerfile with the container engine that there is, and puts its bill of materials
# beside it: target/image/<platform>/flotilla.cdx.json.
set -euo pipefail

usage() {
    cat <<'END'
./just image [--platform linux/amd64,linux/arm64] [--tag NAME:TAG]… [--push] [-- arguments of the engine's build]

  --platform   what it is for; this machine's own where nothing is said. Another one's programs are cross-compiled
  --tag        what it is called; flotilla:VERSION and flotilla:local, which deploy/compose.yaml takes, where nothing is said
  --push       to the registry that the tags name

Engines: docker with buildx, podman, buildah; the first that is there, or FLOTILLA_ENGINE. What is not pushed stays with the
engine; several platforms by docker, whose engine may not keep them, go to target/image/flotilla.oci.tar.
END
}

fail() {
    echo "flotilla: $*" >&2
    exit 1
}

platforms='' tags=() push='' more=()
while (($#)); do
    case $1 in
    --platform | --tag) [[ ${2:-} ]] || fail "$1 needs a value" ;;&
    --platform) platforms=$2 && shift 2 ;;
    --tag) tags+=("$2") && shift 2 ;;
    --push) push=yes && shift ;;
    --) shift && more=("$@") && break ;;
    -h | --help) usage && exit ;;
    *) usage >&2 && fail "$1 is no argument of this" ;;
    esac
done

works() {
    case $1 in
    # Its own build, without buildx, reads no such file.
    docker) docker buildx version && docker info ;;
    podman) podman info ;;
    *) "$1" info ;;
    esac &>/dev/null
}

case ${FLOTILLA_ENGINE:-docker} in
docker | podman | buildah) ;;
*) fail "FLOTILLA_ENGINE is $FLOTILLA_ENGINE: docker, podman and buildah are known" ;;
esac

engine=''
for candidate in ${FLOTILLA_ENGINE:-docker podman buildah}; do
    if works "$candidate"; then engine=$candidate && break; fi
done
[[ $engine ]] || fail "no container engine works here (${FLOTILLA_ENGINE:-docker with buildx, podman or buildah}): install one, and see that
'docker info', 'podman info' or 'buildah info' answers. './just test-deploy' checks the image as far as that goes without one."

case $(uname -m) in
x86_64) own=linux/amd64 ;;
aarch64 | arm64) own=linux/arm64 ;;
*) own='' ;;
esac
platforms=${platforms:-$own}
[[ $platforms ]] || fail "this machine is a $(uname -m): say with --platform which of linux/amd64 and linux/arm64 it is for"
for platform in ${platforms//,/ }; do
    case $platform in linux/amd64 | linux/arm64) ;; *) fail "platform $platform: there are linux/amd64 and linux/arm64" ;; esac
done

version=$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' Cargo.toml)
revision=unknown epoch=0 source=''
if git rev-parse --is-inside-work-tree &>/dev/null; then
    revision=$(git rev-parse HEAD)
    git diff --quiet HEAD || revision+=-changed
    epoch=$(git log -1 --format=%ct)
    # Where it is published, without whoever may have logged in there.
    source=$({ git remote get-url origin 2>/dev/null || true; } | sed -n 's|^https://\([^/@]*@\)\{0,1\}|https://|p')
fi
[[ ${tags[*]} ]] || tags=("flotilla:$version" flotilla:local)

case $engine in
docker) build=(docker buildx build) ;;
# What the bill of materials has had built is not built again: only buildah forgets it, unless it is told.
*) build=("$engine" build --layers) ;;
esac
build+=(--file deploy/Dockerfile "${more[@]}"
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "SOURCE=${FLOTILLA_SOURCE_URL:-$source}"
    --build-arg "SOURCE_DATE_EPOCH=$epoch" --build-arg "CREATED=$(date --utc --date "@$epoch" +%FT%TZ)")

out=target/image
mkdir -p "$out"
echo "flotilla: $version ($revision) for $platforms, with $engine" >&2
for platform in ${platforms//,/ }; do
    "${build[@]}" --platform "$platform" --target sbom --output "type=local,dest=$out/${platform//\//-}" .
done

named=()
for tag in "${tags[@]}"; do named+=(--tag "$tag"); done
case $engine in
docker)
    # What the builder itself attests, it can attest only where the image leaves it.
    attested=(--sbom=true --provenance=mode=max)
    if [[ $push ]]; then
        target=("${attested[@]}" --push)
    elif [[ $platforms == *,* ]]; then
        target=("${attested[@]}" --output "type=oci,dest=$out/flotilla.oci.tar")
    else
        target=(--load)
    fi
    "${build[@]}" --platform "$platforms" "${named[@]}" "${target[@]}" .
    ;;
*)
    # Layers of the same files are the same.
    build+=(--timestamp "$epoch" --platform "$platforms")
    if [[ $platforms == *,* ]]; then
        "$engine" manifest rm "${tags[0]}" &>/dev/null || true
        "${build[@]}" --manifest "${tags[0]}" .
        for tag in "${tags[@]:1}"; do "$engine" tag "${tags[0]}" "$tag"; done
    else
        "${build[@]}" "${named[@]}" .
    fi
    if [[ $push ]]; then
        for tag in "${tags[@]}"; do
            case $platforms in
            *,*) "$engine" manifest push --all "$tag" "docker://$tag" ;;
            *) "$engine" push "$tag" ;;
            esac
        done
    fi
    ;;
esac
