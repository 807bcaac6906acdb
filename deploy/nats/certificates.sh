#!/usr/bin/env bash
# Makes an authority of your own (ca.pem) and a certificate for a nats-server (server.pem and
# server.key), to start with: certificates.sh nats.example.com 10.0.0.5
# It is good for this machine's own address as well, which is where a port-forward or a tunnel ends.
# Whoever has the authority's key can make more: keep ca.key away from the server.
set -euo pipefail
if (($# == 0)); then
    echo "usage: $0 NAME-OR-ADDRESS...: what clients call the server, the first of them its name" >&2
    exit 2
fi
names=DNS:localhost,IP:127.0.0.1
for name in "$@"; do
    if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then kind=IP; else kind=DNS; fi
    names+=",$kind:$name"
done
umask 077
if [[ ! -e ca.key ]]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
        -subj "/CN=Flotilla NATS authority" -keyout ca.key -out ca.pem \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
fi
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
    -keyout server.key -out server.csr
# A server of a cluster is a client of the others.
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 397 -out server.pem \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n' "$names")
rm server.csr
chmod 644 ca.pem server.pem
echo "ca.pem for the clients (nats.tls_ca_file), server.pem and server.key for the server"
